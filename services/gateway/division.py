"""What a running split has decided about one request."""

from dataclasses import dataclass
from typing import Literal

from libs.contracts.rollouts import Split


@dataclass(frozen=True, slots=True)
class Division:
    """How a running split took one request."""

    split: Split
    arm: Literal["candidate", "baseline"]
    pool: str
    """Where the name itself is served."""
    mirrored: bool = False
    """Whether the candidate is asked, too, for nobody to see."""

    @property
    def version(self) -> str:
        """Under which the request is sent."""
        return self.split.candidate if self.arm == "candidate" else self.split.baseline
