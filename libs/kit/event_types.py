"""Which public events somebody wants: types, and patterns in which `*` stands for anything."""

import re
from collections.abc import Iterable
from typing import Final

from libs.contracts.public_events import TYPES
from libs.kit.errors import ServiceError

_PATTERN: Final = re.compile(r"[a-z0-9_.*-]{1,128}")
_MOST: Final = 32


class WantedTypes:
    """A filter of types; without any pattern it lets everything pass."""

    def __init__(self, patterns: Iterable[str]) -> None:
        parts = ["[^ ]*".join(re.escape(part) for part in pattern.split("*")) for pattern in patterns]
        self._matches = re.compile("|".join(parts)).fullmatch if parts else None

    def __contains__(self, event_type: str) -> bool:
        return self._matches is None or self._matches(event_type) is not None


def check_patterns(patterns: Iterable[str], *, param: str) -> tuple[str, ...]:
    """The patterns, once each.

    Raises:
        ServiceError: `invalid_value`, one has another form, matches no type that there is, or they are too many.
    """
    distinct = tuple(dict.fromkeys(patterns))
    if len(distinct) > _MOST:
        raise ServiceError("invalid_value", f"At most {_MOST} types can be asked for at once.", param=param)
    for pattern in distinct:
        wanted = WantedTypes((pattern,)) if _PATTERN.fullmatch(pattern) else None
        if wanted is None or not any(each in wanted for each in TYPES):
            known = ", ".join(TYPES)
            text = f"`{pattern[:64]}` is no type of event; there are {known}, and `*` stands for anything."
            raise ServiceError("invalid_value", text, param=param)
    return distinct
