"""What the study chose: how customers behave and by which recipe their judgements are learned."""

from typing import Final

from libs.contracts.training import Method, Recipe
from services.trainer.study.customers import Habits

HABITS: Final = Habits(ratings=6_000, changed_price_share=0.05)
RECIPE: Final = Recipe(method=Method.SFT, rank=8, alpha=16.0, learning_rate=2e-3, steps=400, demonstration_weight=2)
REPLAY_GROUPS: Final[tuple[str, ...]] = ()
