"""The routing table that the workers' beats make."""

import pytest

from libs.contracts.inference import ServedModel, WorkerBeat, WorkerState
from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway import fleet as fleet_module
from services.gateway.fleet import Fleet

CHAT = "/v1/chat/completions"


def _beat(
    worker: str,
    *models: str,
    pool: str = "default",
    name: str = "",
    state: WorkerState = WorkerState.READY,
    routes: tuple[str, ...] = (CHAT,),
) -> WorkerBeat:
    served = tuple(ServedModel(name=model, routes=routes) for model in models)
    return WorkerBeat(
        worker=worker, name=name or worker, pool=pool, state=state, capacity=1, models=served, engine="none"
    )


def _code(fleet: Fleet, model: str, route: str = CHAT) -> str:
    with pytest.raises(ServiceError) as caught:
        fleet.target(model, route)
    return caught.value.code


def test_nobody_was_ever_heard() -> None:
    assert _code(Fleet(), "m") == "no_worker"


def test_a_known_model_an_unknown_one_and_a_wrong_route() -> None:
    fleet = Fleet()
    fleet.hear(_beat("w", "m"))
    assert fleet.target("m", CHAT).pool == "default"
    assert _code(fleet, "other") == "model_not_found"
    assert _code(fleet, "m", "/v1/embeddings") == "unsupported_route"
    fleet.hear(_beat("v", "any", routes=()))
    assert fleet.target("any", "/v1/embeddings").model == "any"


def test_a_model_outlives_its_worker_but_not_its_unloading() -> None:
    fleet = Fleet()
    fleet.hear(_beat("w", "m"))
    fleet.lose("w")
    assert fleet.target("m", CHAT).ready_workers == 0
    assert not fleet.has_ready_worker
    fleet.hear(_beat("w2", name="w"))
    assert _code(fleet, "m") == "model_not_found"


def test_the_pool_that_is_ready_wins_over_the_preferred_one_that_is_not() -> None:
    fleet = Fleet("b")
    fleet.hear(_beat("w1", "m", pool="a"))
    fleet.hear(_beat("w2", "m", pool="b"))
    assert fleet.target("m", CHAT).pool == "b"
    fleet.hear(_beat("w2", "m", pool="b", state=WorkerState.DRAINING))
    assert fleet.target("m", CHAT).pool == "a"
    fleet.lose("w1")
    assert fleet.target("m", CHAT).pool == "b"
    fleet.hear(_beat("w1", "m", pool="a"))
    assert fleet.target("m", CHAT).pool == "a"


def test_routes_are_those_of_the_workers_that_are_ready() -> None:
    fleet = Fleet()
    fleet.hear(_beat("w1", "m", routes=(CHAT, "/tokenize")))
    fleet.hear(_beat("w2", "m", routes=(CHAT,)))
    assert fleet.target("m", "/tokenize").ready_workers == 2
    fleet.lose("w1")
    assert _code(fleet, "m", "/tokenize") == "unsupported_route"


def test_silence_is_counted_from_the_last_beat_or_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    fleet = Fleet()
    fleet.hear(_beat("w", "m"))
    now_s = 103.0
    assert fleet.silent(3.5) == []
    now_s = 104.0
    assert fleet.silent(3.5) == ["w"]
    fleet.excuse()
    assert fleet.silent(3.5) == []
    now_s = 108.0
    fleet.lose("w")
    assert fleet.silent(3.5) == []
    now_s += fleet_module.FORGET_AFTER_S
    fleet.silent(3.5)
    assert fleet.targets == []


def test_a_worker_that_stopped_in_order_is_not_silent() -> None:
    fleet = Fleet()
    fleet.hear(_beat("w", "m", state=WorkerState.STOPPED))
    assert fleet.silent(-1) == []
    assert not fleet.has_ready_worker
    assert fleet.target("m", CHAT)
