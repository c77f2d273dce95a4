"""When a scheduler lets gateways hand requests over themselves: while nothing waits, and not at once again after it."""

from dataclasses import dataclass, field
from typing import cast

import pytest

from libs.contracts.inference import DIRECT_RENEWAL_S, WorkerState
from libs.kit import clock
from services.scheduler.direct import CALM_S, Direct
from services.scheduler.domain.workers import Registry
from services.scheduler.matcher import Matcher
from services.scheduler.voice import Voice
from tests.unit.scheduler.builders import beat


@dataclass
class Scene:
    """One pool whose words are written down."""

    registry: Registry = field(default_factory=lambda: Registry(beat_timeout_s=3.0))
    queue: list[str] = field(default_factory=list)
    said: list[tuple[str, ...]] = field(default_factory=list)

    is_overloaded: bool = False

    def name_direct(self, pool: str, workers: tuple[str, ...]) -> bool:
        assert pool == "default"
        if not self.is_overloaded:
            self.said.append(workers)
        return not self.is_overloaded

    def direct(self, *, enabled: bool = True) -> Direct:
        for one in ("b", "a"):
            self.registry.beat(beat(one, 2), 0.0)
        return Direct("default", cast("Matcher", self), cast("Voice", self), enabled=enabled)


def test_workers_with_room_are_named_once_and_again_each_second() -> None:
    scene = Scene()
    direct = scene.direct()
    for now_s in (0.0, 0.05, DIRECT_RENEWAL_S - 0.01):
        direct.look(now_s)
    assert scene.said == [("a", "b")]
    direct.look(DIRECT_RENEWAL_S)
    assert scene.said == [("a", "b")] * 2


@pytest.mark.parametrize("how", ["full", "draining", "cordoned", "suspected", "resting"])
def test_a_worker_that_should_have_no_new_work_is_not_named(how: str) -> None:
    scene = Scene()
    direct = scene.direct()
    worker = scene.registry.workers["a"]
    if how == "full":
        for request in ("r", "s"):
            scene.registry.assign(worker, (request, 1), 0.0)
    elif how == "draining":
        scene.registry.beat(beat("a", 2, state=WorkerState.DRAINING), 0.0)
    elif how == "cordoned":
        scene.registry.cordon(frozenset((worker.name,)))
    elif how == "suspected":
        scene.registry.suspect(worker, 0.0)
    else:
        scene.registry.unanswered(worker, 0.0)
    direct.look(0.0)
    assert scene.said == [("b",)]


def test_what_has_to_wait_ends_it_at_once_and_it_begins_again_only_after_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    direct = scene.direct()
    direct.look(5.0)
    monkeypatch.setattr(clock, "monotonic_s", lambda: 5.1)
    direct.close()
    direct.close()
    assert scene.said == [("a", "b"), ()]
    scene.queue.append("waits")
    for now_s in (5.15, 5.1 + CALM_S, 9.0):
        direct.look(now_s)
    scene.queue.clear()
    direct.look(9.0 + CALM_S - 0.01)
    assert set(scene.said[1:]) == {()}, "it waited until just before"
    direct.look(9.0 + CALM_S)
    assert scene.said[-1] == ("a", "b")


def test_switched_off_nobody_is_ever_named() -> None:
    scene = Scene()
    direct = scene.direct(enabled=False)
    direct.look(0.0)
    direct.look(10.0)
    assert set(scene.said) == {()}


def test_a_word_that_was_dropped_is_said_as_soon_as_there_is_room() -> None:
    scene = Scene()
    direct = scene.direct()
    direct.look(0.0)
    scene.is_overloaded = True
    scene.queue.append("waits")
    direct.look(0.05)
    assert scene.said == [("a", "b")]
    scene.is_overloaded = False
    direct.look(0.1)
    assert scene.said == [("a", "b"), ()]
