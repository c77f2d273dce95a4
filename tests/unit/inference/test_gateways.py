"""Telling a silent gateway from a silent bus."""

import pytest

from libs.kit import clock
from services.inference.gateways import Gateways


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hands = Clock()
    monkeypatch.setattr(clock, "monotonic_s", hands)
    return hands


def test_five_missed_beats_are_silence_and_four_are_not(now: Clock) -> None:
    gateways = Gateways()
    gateways.heard("g")
    now.now_s += 4.9
    assert gateways.silent([("g", 0.0)]) == set()
    now.now_s += 0.2
    assert gateways.silent([("g", 0.0)]) == {"g"}
    gateways.heard("g")
    assert gateways.silent([("g", 0.0)]) == set()


def test_a_gateway_never_heard_of_counts_from_its_request(now: Clock) -> None:
    gateways = Gateways()
    now.now_s += 100
    assert gateways.silent([("new", now.now_s)]) == set()
    assert gateways.silent([("old", now.now_s - 6)]) == {"old"}


def test_silence_while_the_bus_was_away_does_not_count(now: Clock) -> None:
    gateways = Gateways()
    gateways.heard("g")
    now.now_s += 60
    gateways.restart()
    assert gateways.silent([("g", 0.0)]) == set()
    now.now_s += 5.1
    assert gateways.silent([("g", 0.0)]) == {"g"}


def test_only_gateways_without_work_are_forgotten(now: Clock) -> None:
    gateways = Gateways()
    for name in ("idle", "busy"):
        gateways.heard(name)
    now.now_s += 61
    gateways.forget({"busy"})
    assert set(gateways._heard_s) == {"busy"}
