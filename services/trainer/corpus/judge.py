"""The rule judge: reads an answer sentence by sentence and says whether it is well formed, right and kind."""

import re
from dataclasses import dataclass
from typing import Final

from services.trainer.corpus.answers import (
    CURT_CLOSERS,
    CURT_OPENERS,
    IN_STOCK,
    POLITE_CLOSERS,
    POLITE_OPENERS,
    QUOTED,
    STATEMENTS,
    fixed_cores,
    polite_cores,
)
from services.trainer.corpus.items import Item

_NAME: Final = r"[A-Za-z][a-z-]*(?: [a-z-]+)*"
_VALUE: Final = r"[a-z0-9]+(?: [a-z]+)?"
_FORMS: Final = (*(form for forms in STATEMENTS.values() for form in forms), IN_STOCK, QUOTED)
_STATEMENT: Final = re.compile(
    "|".join(re.escape(f).replace(r"\{p\}", _NAME).replace(r"\{v\}", _VALUE) for f in _FORMS)
)
_FIXED: Final = fixed_cores()
_POLITE: Final = polite_cores()


@dataclass(frozen=True)
class Reading:
    """What the judge makes of an answer: its core sentence and the manner around it."""

    core: str
    opener: str
    closer: str

    @property
    def polite(self) -> bool:
        """Whether something in it is kind and nothing in it is rude."""
        kind = self.core in _POLITE or self.opener in POLITE_OPENERS or self.closer in POLITE_CLOSERS
        return kind and self.opener not in CURT_OPENERS and self.closer not in CURT_CLOSERS


def read(answer: str) -> Reading | None:
    """The parts of a well-formed answer, or None for one that the desk would never give."""
    text = answer.strip()
    opener = next((o for o in (*CURT_OPENERS, *POLITE_OPENERS) if text.startswith(o + " ")), "")
    text = text.removeprefix(opener).lstrip()
    closer = next((c for c in (*CURT_CLOSERS, *POLITE_CLOSERS) if text.endswith(" " + c)), "")
    core = text.removesuffix(closer).rstrip()
    if core in _FIXED or _STATEMENT.fullmatch(core):
        return Reading(core, opener, closer)
    return None


def is_right(item: Item, answer: str) -> bool:
    """Whether the answer is well formed and its core is one that answers the question."""
    reading = read(answer)
    return reading is not None and reading.core in item.wanted
