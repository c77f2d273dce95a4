"""What texts are compared by when near duplicates are sought: short runs of words."""

import re
from typing import Final

_WORD: Final = re.compile(r"\w+")
_SHINGLE_WORDS: Final = 3
_SHINGLE_CHARACTERS: Final = 5
_LONG_WORD: Final = 16
"""Characters per word beyond which a text is taken to be written without blanks."""


def shingles(text: str) -> list[bytes]:
    """Runs of three words in lower case, or of five characters where a script does not part its words."""
    words = _WORD.findall(text.lower())
    if len(words) * _LONG_WORD < len(text):
        joined = " ".join(words) or text
        last = max(1, len(joined) - _SHINGLE_CHARACTERS + 1)
        return [joined[at : at + _SHINGLE_CHARACTERS].encode(errors="surrogatepass") for at in range(last)]
    encoded = [word.encode(errors="surrogatepass") for word in words]
    last = max(1, len(encoded) - _SHINGLE_WORDS + 1)
    return [b" ".join(encoded[at : at + _SHINGLE_WORDS]) for at in range(last)]
