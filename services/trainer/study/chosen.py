"""What the study chose: how customers behave and by which recipe their judgements are learned."""

from typing import Final

from libs.contracts.training import Method, Recipe
from services.trainer.study.customers import Habits
from services.trainer.study.loop import Round, Trial

HABITS: Final = Habits(ratings=4_000, changed_price_share=0.1)
EARLY: Final = (Round(ratings=2_000, steps=200),)
RECIPE: Final = Recipe(method=Method.SFT, rank=8, alpha=16.0, learning_rate=2e-3, steps=400, demonstration_weight=2)


def chosen(name: str, seed: int = 0, recipe: Recipe = RECIPE) -> Trial:
    """The chosen customers and rounds, and the chosen recipe or one near it."""
    return Trial(name=name, seed=seed, habits=HABITS, recipe=recipe, early=EARLY)
