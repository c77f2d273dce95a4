"""How the Python that runs this was built, which decides what everything here costs."""

import sys
import sysconfig
from pathlib import Path
from typing import Final

_FLAG: Final = "--enable-optimizations"
_SYSTEM: Final = Path("/usr")


def is_optimised() -> bool:
    """Whether its build was guided by a profile of running programs, as that of official images and distributions is.

    Without it a request takes an eighth to a sixth more processor time (decision 0040).
    """
    # Distributions pass it to make and not to configure, so that only their place tells them.
    return _FLAG in str(sysconfig.get_config_var("CONFIG_ARGS")) or Path(sys.base_prefix) == _SYSTEM


def described() -> str:
    """Version and kind of build, for reports."""
    return f"{sys.version.split()[0]} ({'optimised build' if is_optimised() else 'build without optimisations'})"
