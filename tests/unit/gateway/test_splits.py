"""Which version a request gets while a rollout runs, and for how long the gateway believes what it was told."""

from collections import Counter

import msgspec
import pytest

from libs.contracts.inference import ServedModel, WorkerBeat, WorkerState
from libs.contracts.requests import ROUTES
from libs.contracts.rollouts import Split, Splits
from libs.kit import clock, sticky
from libs.kit.bus import Message
from services.gateway import splits as splits_module
from services.gateway.exchange import Exchange
from services.gateway.fleet import Fleet
from services.gateway.mirror import Nobody
from services.gateway.splits import Divider, sticky_of

CHAT = "/v1/chat/completions"
GOOD, BAD = "helpdesk@sha256:aaaaaaaaaaaa", "helpdesk@sha256:bbbbbbbbbbbb"
SPLIT = Split(
    rollout="roll_1", names=("helpdesk", "helpdesk@champion"), step=1, share=0.25, candidate=BAD, baseline=GOOD
)


def _fleet(*names: str, state: WorkerState = WorkerState.READY) -> Fleet:
    fleet = Fleet()
    _serve(fleet, *names, state=state)
    return fleet


def _serve(fleet: Fleet, *names: str, state: WorkerState = WorkerState.READY, pool: str = "default") -> None:
    models = tuple(ServedModel(name=name, routes=(CHAT, "/tokenize")) for name in names)
    beat = WorkerBeat(worker=f"w-{pool}", name="w", pool=pool, state=state, capacity=1, models=models, engine="none")
    fleet.hear(beat)


def _exchange(model: str = "helpdesk", *, episode: str = "", user: str = "", path: str = CHAT) -> Exchange:
    exchange = Exchange(ROUTES[path], Nobody())
    exchange.model, exchange.episode_id, exchange.user = model, episode, user
    return exchange


def _divider(fleet: Fleet, *splits: Split) -> Divider:
    divider = Divider(fleet)
    divider.hear(Splits(epoch=1, sequence=1, splits=splits or (SPLIT,)))
    return divider


def _chosen(divider: Divider, exchange: Exchange, fleet: Fleet) -> str:
    return divider.divide(exchange, fleet.target(exchange.model, exchange.route.path)).model


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_border_is_exactly_where_the_share_says(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    divider = _divider(fleet, msgspec.structs.replace(SPLIT, share=share))
    border = round(share * sticky.SPACE)
    for point in (0, max(0, border - 1), min(border, sticky.SPACE - 1), sticky.SPACE - 1):
        monkeypatch.setattr(sticky, "point", lambda *_, at=point: at)
        assert _chosen(divider, _exchange(), fleet) == (BAD if point < border else GOOD)


def test_shares_come_out_over_many_requests_and_an_episode_keeps_its_version() -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    divider = _divider(fleet)
    seen = Counter(_chosen(divider, _exchange(), fleet) for _ in range(8_000))
    assert set(seen) == {GOOD, BAD}
    assert abs(seen[BAD] - 2_000) < 5 * (8_000 * 0.25 * 0.75) ** 0.5
    for number in range(50):
        talk = [_chosen(divider, _exchange(episode=f"e{number}", user=f"u{turn}"), fleet) for turn in range(5)]
        assert len(set(talk)) == 1


def test_whoever_has_the_candidate_keeps_it_while_the_share_grows() -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    had: set[int] = set()
    for number, share in enumerate((0.05, 0.25, 0.5, 1.0)):
        divider = _divider(fleet, msgspec.structs.replace(SPLIT, share=share, step=number))
        has = {user for user in range(200) if _chosen(divider, _exchange(user=f"u{user}"), fleet) == BAD}
        assert had < has
        had = has
    assert len(had) == 200


def test_an_episode_a_user_and_a_request_of_the_same_text_are_three() -> None:
    named = _exchange()
    texts = {sticky_of(_exchange(episode=named.request_id)), sticky_of(_exchange(user=named.request_id))}
    assert len(texts | {sticky_of(named)}) == 3
    assert sticky_of(_exchange(episode="e", user="u")) == sticky_of(_exchange(episode="e"))


def test_what_is_not_named_is_not_divided() -> None:
    fleet = _fleet("helpdesk", "other", GOOD, BAD)
    divider = _divider(fleet, msgspec.structs.replace(SPLIT, share=1.0))
    for model in ("other", GOOD, BAD):
        exchange = _exchange(model)
        assert (_chosen(divider, exchange, fleet), exchange.division) == (model, None)
    exchange = _exchange()
    assert _chosen(divider, exchange, fleet) == BAD
    assert exchange.division is not None
    assert (exchange.division.arm, exchange.division.version, exchange.division.mirrored) == ("candidate", BAD, False)


def test_in_a_shadow_the_last_good_version_answers_and_the_share_is_mirrored() -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    divider = _divider(fleet, msgspec.structs.replace(SPLIT, shadow=True))
    mirrored = 0
    for number in range(1_000):
        exchange = _exchange(user=f"u{number}")
        assert _chosen(divider, exchange, fleet) == GOOD
        assert exchange.division is not None
        assert exchange.division.arm == "baseline"
        assert exchange.division.mirrored == sticky.is_candidates("roll_1", f"user:u{number}", 0.25)
        mirrored += exchange.division.mirrored
    assert 150 < mirrored < 350
    wordless = _exchange(user="u1", path="/tokenize")
    divider.hear(Splits(epoch=1, sequence=2, splits=(msgspec.structs.replace(SPLIT, shadow=True, share=1.0),)))
    assert _chosen(divider, wordless, fleet) == GOOD
    assert wordless.division is not None
    assert not wordless.division.mirrored


def test_a_version_that_nobody_serves_is_passed_over_and_is_no_evidence() -> None:
    everything = msgspec.structs.replace(SPLIT, share=1.0)
    for served, expected in ((("helpdesk", GOOD), GOOD), (("helpdesk",), "helpdesk")):
        fleet = _fleet(*served)
        exchange = _exchange()
        assert _chosen(_divider(fleet, everything), exchange, fleet) == expected
        assert exchange.division is None
    fleet = _fleet("helpdesk", BAD)
    exchange = _exchange()
    assert _chosen(_divider(fleet, msgspec.structs.replace(SPLIT, share=0.0)), exchange, fleet) == "helpdesk"
    assert exchange.division is None


def test_a_version_whose_workers_are_not_ready_or_cannot_take_the_route_is_passed_over() -> None:
    everything = msgspec.structs.replace(SPLIT, share=1.0)
    fleet = _fleet("helpdesk", GOOD)
    _serve(fleet, BAD, state=WorkerState.DRAINING, pool="canary")
    assert _chosen(_divider(fleet, everything), _exchange(), fleet) == GOOD
    _serve(fleet, BAD, pool="canary")
    exchange = _exchange()
    target = _divider(fleet, everything).divide(exchange, fleet.target("helpdesk", CHAT))
    assert (target.model, target.pool) == (BAD, "canary")
    assert exchange.division is not None
    assert exchange.division.pool == "default"
    assert fleet.ready(BAD, "/v1/embeddings") is None


def test_what_is_older_is_not_heard() -> None:
    divider = _divider(_fleet("helpdesk", GOOD, BAD))
    divider.hear(Splits(epoch=1, sequence=1))
    divider.hear(Splits(epoch=0, sequence=9))
    assert divider.by_name == {"helpdesk": SPLIT, "helpdesk@champion": SPLIT}
    divider.hear(Splits(epoch=2, sequence=0))
    assert not divider.by_name
    divider.hear(Splits(epoch=1, sequence=7, splits=(SPLIT,)))
    assert not divider.by_name


def test_silence_ends_it_and_what_an_old_speaker_repeats_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    now_s = 100.0
    monkeypatch.setattr(clock, "monotonic_s", lambda: now_s)
    divider = _divider(fleet, msgspec.structs.replace(SPLIT, share=1.0))
    now_s += splits_module.TTL_S
    assert _chosen(divider, _exchange(), fleet) == BAD
    divider.hear(Splits(epoch=1, sequence=1, splits=(SPLIT,)))
    now_s += 0.001
    exchange = _exchange()
    assert (_chosen(divider, exchange, fleet), exchange.division) == ("helpdesk", None)
    assert not divider.by_name
    divider.hear(Splits(epoch=1, sequence=2, splits=(msgspec.structs.replace(SPLIT, share=1.0),)))
    assert _chosen(divider, _exchange(), fleet) == BAD


@pytest.mark.parametrize(
    "payload",
    [b"", b"nonsense", b"[]", b'{"epoch":5}', b'{"epoch":"x","sequence":1}',
     b'{"epoch":5,"sequence":1,"splits":[{"rollout":1}]}', b"\xff\xfe"],
)  # fmt: skip
def test_nonsense_changes_nothing(payload: bytes) -> None:
    divider = _divider(_fleet("helpdesk", GOOD, BAD))
    divider._on_splits(Message("s", "", b"", payload))
    assert divider.by_name["helpdesk"] == SPLIT


@pytest.mark.parametrize("share", [-0.1, 1.1, 1e308])
def test_a_share_that_is_none_divides_nothing(share: float) -> None:
    fleet = _fleet("helpdesk", GOOD, BAD)
    divider = _divider(fleet, msgspec.structs.replace(SPLIT, share=share))
    assert _chosen(divider, _exchange(), fleet) == "helpdesk"
