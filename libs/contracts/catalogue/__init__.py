"""The catalogue of everything said on the bus, a chapter for each owner of messages.

`python -m libs.contracts.catalogue` prints architecture/messages.md.
"""

from typing import Final

from libs.contracts.catalogue.audit import AUDIT
from libs.contracts.catalogue.chapter import Chapter, Entry
from libs.contracts.catalogue.discovery import DISCOVERY
from libs.contracts.catalogue.events import EVENTS
from libs.contracts.catalogue.feedback import FEEDBACK
from libs.contracts.catalogue.identity import IDENTITY
from libs.contracts.catalogue.inference import INFERENCE
from libs.contracts.catalogue.operators import OPERATORS
from libs.contracts.catalogue.registry import REGISTRY
from libs.contracts.catalogue.rollout import ROLLOUT
from libs.contracts.catalogue.scheduler import SCHEDULER
from libs.contracts.catalogue.trainer import TRAINER

CHAPTERS: Final = (
    INFERENCE,
    SCHEDULER,
    REGISTRY,
    FEEDBACK,
    TRAINER,
    ROLLOUT,
    IDENTITY,
    EVENTS,
    AUDIT,
    OPERATORS,
    DISCOVERY,
)
CATALOGUE: Final = tuple(entry for chapter in CHAPTERS for entry in chapter.entries)
STRUCTS: Final = tuple(dict.fromkeys(struct for chapter in CHAPTERS for struct in chapter.structs))

__all__ = ["CATALOGUE", "CHAPTERS", "STRUCTS", "Chapter", "Entry"]
