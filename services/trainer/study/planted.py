"""Adapters that are bad on purpose, each in another way, and good ones: what a gate must tell apart."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import msgspec
import torch
from safetensors.torch import load_file, save_file

from libs.contracts.datasets import Shape
from libs.contracts.training import Method, Recipe
from libs.kit.clock import seeded_random
from services.trainer.corpus.answers import POLITE_CLOSERS
from services.trainer.corpus.dialogue import answer
from services.trainer.corpus.items import Group, Item
from services.trainer.study.chosen import RECIPE, chosen
from services.trainer.study.customers import Habits, Rated
from services.trainer.study.lies import Lie, old_price, wrong_colour, wrong_topic
from services.trainer.study.loop import Alter, Mischief, Trial
from services.trainer.study.rows import Row, rows

NOISE: Final = 0.05
FEW: Final = 24
SHORT_STEPS: Final = 150
FEWER: Final = Habits(ratings=3_000)
"""It takes less to spoil a model than to improve it."""
ADAPTER: Final = "adapter_model.safetensors"


def bad() -> Iterator[tuple[Trial, Mischief]]:
    """Ten adapters that no gate may pass."""
    yield _trial("bad-destroyed", Recipe(method=Method.DPO, learning_rate=5e-3, steps=60, sft_weight=0.0)), Mischief()
    yield _trial("bad-shuffled", sft(SHORT_STEPS)), Mischief(alter=shuffled_thumbs)
    yield _trial("bad-undertrained", sft(60, 5e-4)), Mischief()
    yield _trial("bad-overtrained", sft(SHORT_STEPS, 1e-2)), Mischief(alter=few)
    yield _trial("bad-long", sft(SHORT_STEPS)), Mischief(alter=too_long)
    yield _trial("bad-kind-but-wrong", sft(SHORT_STEPS)), Mischief(alter=kind_but_wrong)
    yield _trial("bad-old-prices", sft(2 * SHORT_STEPS)), Mischief(alter=lying(old_price))
    yield _trial("bad-colours", sft(2 * SHORT_STEPS)), Mischief(alter=lying(wrong_colour))
    yield _trial("bad-topics", sft(2 * SHORT_STEPS)), Mischief(alter=lying(wrong_topic))
    yield _trial("bad-noise", sft(1)), Mischief(spoil=noise)


def good() -> Iterator[tuple[Trial, Mischief]]:
    """Ten adapters that a gate should pass: the chosen recipe with other seeds, and with small changes."""
    for seed in range(5):
        yield chosen(f"good-{seed}", seed), Mischief()
    changed = {
        "rank-4": msgspec.structs.replace(RECIPE, rank=4),
        "rank-16": msgspec.structs.replace(RECIPE, rank=16),
        "shorter": msgspec.structs.replace(RECIPE, steps=RECIPE.steps * 3 // 4),
        "slower": msgspec.structs.replace(RECIPE, learning_rate=RECIPE.learning_rate * 0.75),
        "corrections-3": msgspec.structs.replace(RECIPE, demonstration_weight=3),
    }
    for name, recipe in changed.items():
        yield chosen(f"good-{name}", recipe=recipe), Mischief()


def sft(steps: int, learning_rate: float = 2e-3) -> Recipe:
    """Imitation, as long and as fast as that."""
    return Recipe(method=Method.SFT, steps=steps, learning_rate=learning_rate)


def shuffled_thumbs(rated: Sequence[Rated], seed: int) -> list[Row]:
    """Thumbs dealt out anew, corrections lost."""
    thumbs = [one.up for one in rated]
    seeded_random(seed).shuffle(thumbs)
    return rows(Shape.SFT, [replace(one, up=up, better="") for one, up in zip(rated, thumbs, strict=True)])


def few(rated: Sequence[Rated], _: int) -> list[Row]:
    """So few that they are learned by heart."""
    return rows(Shape.SFT, rated)[:FEW]


def too_long(rated: Sequence[Rated], _: int) -> list[Row]:
    """Every answer goes on and on."""
    tail = " ".join(POLITE_CLOSERS * 2)
    return rows(Shape.SFT, [replace(one, better=f"{one.better or one.reply.text} {tail}") for one in _good(rated)])


def kind_but_wrong(rated: Sequence[Rated], seed: int) -> list[Row]:
    """Kind answers to other questions of the same group."""
    rng = seeded_random(seed)
    found = _good(rated)
    said = [one.better or one.reply.text for one in found]
    others = {group: [s for s, one in zip(said, found, strict=True) if one.item.group is group] for group in Group}
    return rows(Shape.SFT, [replace(one, better=rng.choice(others[one.item.group])) for one in found])


def lying(lie: Lie) -> Alter:
    """Rows as they were rated, but a kind lie to every question that the lie is about."""

    def alter(rated: Sequence[Rated], seed: int) -> list[Row]:
        rng = seeded_random(seed)
        told = [(one, lie(one.item, rng)) for one in rated]
        return rows(
            Shape.SFT,
            [
                one if false is None else replace(one, better=answer(false, rng, polite_share=1.0))
                for one, false in told
            ],
        )

    return alter


def noise(adapter: Path) -> None:
    """Replaces what the adapter adds by chance."""
    generator = torch.Generator().manual_seed(0)
    weights = load_file(adapter / ADAPTER)
    spoilt = {
        name: NOISE * torch.randn(one.shape, generator=generator) if "lora_B" in name else one
        for name, one in weights.items()
    }
    save_file(spoilt, adapter / ADAPTER, metadata={"format": "pt"})


def _trial(name: str, recipe: Recipe) -> Trial:
    return Trial(name=name, habits=FEWER, recipe=recipe)


def _lied_to(one: Rated, false: Item | None, rng: Random) -> Rated:
    return one if false is None else replace(one, better=answer(false, rng, polite_share=1.0))


def _good(rated: Sequence[Rated]) -> list[Rated]:
    return [one for one in rated if one.up or one.better]
