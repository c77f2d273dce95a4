"""What a recipe hands on when it has trained."""

from dataclasses import dataclass
from typing import Any

from libs.contracts.training import Method
from services.trainer.recipes.parts.watch import Watch


@dataclass(frozen=True)
class Trained:
    """A model with what was learned, and what was seen on the way."""

    model: Any
    tokenizer: Any
    watch: Watch
    method: Method
    rows: int
    """Of the data set that were learned from."""
