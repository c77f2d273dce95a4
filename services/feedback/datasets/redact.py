"""Third step: personal data and secrets become placeholders such as `<email-1>`, the same ones within an episode."""

from collections import Counter

from services.feedback.datasets.recognisers import find


class Redactor:
    """Redacts the texts of one episode; the same value gets the same placeholder in all of them."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}
        self._last: Counter[str] = Counter()
        self.replaced: Counter[str] = Counter()
        """How many pieces were replaced, by kind."""

    def redact(self, text: str) -> str:
        """The text with a placeholder for every piece recognised; readable as before."""
        found = find(text)
        if not found:
            return text
        parts, at = [], 0
        for one in found:
            parts += [text[at : one.start], f"<{one.kind}-{self._number(one.kind, one.value)}>"]
            at = one.end
            self.replaced[one.kind] += 1
        return "".join([*parts, text[at:]])

    def _number(self, kind: str, value: str) -> int:
        number = self._numbers.get((kind, value))
        if number is None:
            self._last[kind] += 1
            number = self._numbers[kind, value] = self._last[kind]
        return number
