"""The methods against one another: one round, the same number of ratings, several settings of each."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from libs.contracts.training import Method, Recipe
from services.trainer.corpus.items import Group
from services.trainer.study.chosen import HABITS
from services.trainer.study.loop import Trial

AGAIN: Final = replace(HABITS, times=4)
"""Each question is asked four times; otherwise corrections are almost the only pairs."""
GROUPS: Final = tuple(group.value for group in Group)
STEPS: Final = 400


def contest(seed: int) -> Iterator[Trial]:
    """Every setting of every method; on ratings of questions asked once, those of DPO on questions asked again."""
    for rate in (1e-3, 2e-3):
        yield _trial(Method.SFT, seed, learning_rate=rate)
        yield _trial(Method.DPO, seed, learning_rate=rate, sft_weight=1.0)
        yield _trial(Method.KTO, seed, learning_rate=rate, sft_weight=1.0)
    yield _trial(Method.DPO, seed, learning_rate=2e-3, sft_weight=3.0)
    yield _trial(Method.KTO, seed, learning_rate=2e-3, sft_weight=3.0)
    yield _trial(Method.KTO, seed, learning_rate=1e-3, sft_weight=1.0, replay_share=0.3)


def _trial(method: Method, seed: int, **settings: Any) -> Trial:
    name = "-".join([method.value, *(f"{key}={value}" for key, value in settings.items()), str(seed)])
    return Trial(
        name=name,
        seed=seed,
        habits=AGAIN if method is Method.DPO else HABITS,
        recipe=Recipe(method=method, steps=STEPS, **settings),
        replay_groups=GROUPS if "replay_share" in settings else (),
    )
