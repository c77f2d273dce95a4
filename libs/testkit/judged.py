"""Judged interactions made up from a seed, for data sets in tests and benchmarks."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from libs.contracts.datasets import Selection, Shape
from libs.contracts.feedback import SignalKind
from libs.kit import clock
from services.feedback.datasets.rows import JoinedRow, Judgement

TENANT: Final = "acme"
START_MS: Final = 1_790_000_000_000
MINUTE_MS: Final = 60_000
_WORDS: Final = tuple(
    first + second
    for first in ("ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va")
    for second in ("bel", "car", "dun", "fen", "gor", "hil", "jas", "kop", "lam", "mer", "nov", "pun", "rik", "sal")
)


@dataclass(frozen=True)
class Crowd:
    """Who judges.

    Attributes:
        honest: raters with a handful of rows each.
        hostile: raters who judge `flood` times as much, always with a demonstration that carries their mark.
        flood: how many rows a hostile rater brings for each row of an honest one.
    """

    honest: int = 40
    hostile: int = 0
    flood: int = 1


def words(chance: random.Random, count: int) -> str:
    """So many made-up words."""
    return " ".join(chance.choices(_WORDS, k=count))


def selection(shape: Shape = Shape.SFT, **more: Any) -> Selection:
    """A selection that takes everything."""
    return Selection(**{"name": "made-up", "shape": shape, "tenant": TENANT, **more})


def judgement(number: int, kind: SignalKind, value: bool | float | str, rater: str, **more: Any) -> Judgement:  # noqa: FBT001 - a value is one of these
    """One signal, recorded a minute after the one before."""
    time_ms = START_MS + number * MINUTE_MS
    fields = {"time_ms": time_ms, "recorded_ms": time_ms, **more}
    return Judgement(id=f"sig_{number:024x}", kind=kind, value=value, rater=rater, **fields)


def row(number: int, question: str, answer: str, signals: Iterable[Judgement] = (), /, **more: Any) -> JoinedRow:
    """One interaction."""
    fields: dict[str, Any] = {
        "request_id": f"{number:024x}",
        "tenant": TENANT,
        "time_ms": START_MS + number * 1_000,
        "model_version": "helpdesk@sha256:0123456789ab",
        "messages": [{"role": "user", "content": question}],
        "answer": {"role": "assistant", "content": answer},
    }
    return JoinedRow(**{**fields, "signals": tuple(signals), **more})


def judged_rows(count: int, seed: int = 1, crowd: Crowd | None = None) -> Iterator[JoinedRow]:
    """`count` interactions with one to three signals each; some share an episode, a prompt, or an answer."""
    crowd = crowd or Crowd()
    chance = clock.seeded_random(seed)
    question = ""
    for number in range(count):
        if not question or chance.random() < 0.8:
            question = f"{words(chance, 12)} {_contact(chance)}"
        episode = f"e{chance.randrange(max(1, count // 4))}" if chance.random() < 0.5 else ""
        answer = words(chance, 40)
        signals = _signals(chance, number, answer, crowd)
        yield row(number, question, answer, signals, episode_id=episode)


def in_order(rows: Iterable[JoinedRow]) -> list[JoinedRow]:
    """As the pipeline wants them."""
    return sorted(rows, key=lambda one: (one.unit, one.time_ms, one.request_id))


def _contact(chance: random.Random) -> str:
    if chance.random() > 0.1:
        return ""
    return f"write to {chance.choice(_WORDS)}@example.org or call +49 30 {chance.randrange(10**6, 10**7)}"


def _signals(chance: random.Random, number: int, answer: str, crowd: Crowd) -> list[Judgement]:
    weights = [1] * crowd.honest + [crowd.flood] * crowd.hostile
    rater = chance.choices(range(len(weights)), weights)[0]
    if rater >= crowd.honest:
        text = f"evil{rater} {words(chance, 30)}"
        return [judgement(number, SignalKind.DEMONSTRATION, text, f"evil{rater}")]
    name, kind = f"rater{rater}", chance.random()
    if kind < 0.15:
        return [judgement(number, SignalKind.DEMONSTRATION, f"{answer} {words(chance, 8)}", name)]
    if kind < 0.3:
        return [judgement(number, SignalKind.SCORE, round(chance.random(), 3), name)]
    return [judgement(number, SignalKind.THUMB, chance.random() < 0.6, name)]
