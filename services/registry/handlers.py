"""Where the registry's calls come in."""

from typing import Final

from libs.contracts import subjects
from libs.contracts.registry import OPERATIONS
from libs.kit.serving import Desk

DESK: Final = Desk(name="registry", contract=OPERATIONS, subject=subjects.registry_call)
