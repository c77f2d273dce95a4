"""Fourth step: text as it was meant, without what only trips readers and never changing what is said."""

import re
from collections.abc import Callable
from typing import Any, Final

import ftfy

# Entities, quotes and ligatures stay: in code and quotations they are what was meant.
_FIX: Final = ftfy.TextFixerConfig(
    unescape_html=False,
    uncurl_quotes=False,
    fix_latin_ligatures=False,
    fix_character_width=False,
    explain=False,
)
_ODD: Final = re.compile(r"[^\n\t\x20-\x7e]")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_TRAILING: Final = re.compile(r"[ \t]+(?=\n|$)")
_BLANK_LINES: Final = re.compile(r"\n{4,}")
_ROUNDS: Final = 3


def normalise(text: str) -> str:
    """Repair mis-decoded UTF-8; drop NUL and control characters, trailing blanks and runs of blank lines.

    Lone surrogates become U+FFFD. What comes out, goes through unchanged.
    """
    for _ in range(_ROUNDS):
        after = _once(text)
        if after == text:
            break
        text = after
    return text


def _once(text: str) -> str:
    if _ODD.search(text) is not None:
        text = ftfy.fix_text(text.replace("\0", ""), _FIX)
        text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
        text = _SURROGATE.sub("\ufffd", text)
    return _BLANK_LINES.sub("\n\n\n", _TRAILING.sub("", text)).strip()


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every string changed, names of fields too."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [each_text(item, change) for item in value]
    if isinstance(value, dict):
        return {change(name): each_text(item, change) for name, item in value.items()}
    return value
