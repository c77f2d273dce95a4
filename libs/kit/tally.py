"""What has come of the calls of one operation, counted where they are answered and read when somebody asks."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Tally:
    """Counts since this process started."""

    requests: int = 0
    busy_s: float = 0.0
    """Time spent on all of them."""
    errors: dict[str, int] = field(default_factory=dict)
    """How many there were of each code."""
    last_error: str = ""
    """Its code, and its reason where that is for whoever looks after the service: a caller's mistake may be in the
    words of a client."""

    def answered(self, seconds: float) -> None:
        """One more was answered, well or not."""
        self.requests += 1
        self.busy_s += seconds

    def failed(self, code: str, reason: str = "") -> None:
        """One more was answered with a fault."""
        self.errors[code] = self.errors.get(code, 0) + 1
        self.last_error = f"{code}: {reason}" if reason else code
