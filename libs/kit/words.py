"""How much of their words two texts share."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

_WORD: Final = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text in any script, in lower case."""
    return _WORD.findall(text.lower())


def f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall, each word counted as often as it stands there; two empty texts agree."""
    if not said or not wanted:
        return float(len(said) == len(wanted))
    common = (Counter(said) & Counter(wanted)).total()
    return 2 * common / (len(said) + len(wanted))
