"""What a batch of signals changes: repeats, conflicts, changed minds, in whatever order they come."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.feedback import RecordSignal, SignalKind, Source
from services.feedback.domain.judging import Known, Refusal, Ruling, Seen, case_of, judge

REQUEST = "0" * 24
NUMBERS = itertools.count(1)


def known(**more: Any) -> Known:
    return Known(targets={("t", f"i:{REQUEST}"): Seen("v1", **more), ("t", "e:e1"): Seen("v2")})


def signal(**more: Any) -> RecordSignal:
    fields: dict[str, Any] = {
        "id": f"sig_{next(NUMBERS):024x}",
        "tenant": "t",
        "kind": SignalKind.THUMB,
        "value": True,
        "time_ms": 10,
        "inference_id": f"chatcmpl-{REQUEST}",
        "rater": "ann",
    }
    return RecordSignal(**{**fields, **more})


def rule(*commands: RecordSignal, has: Known | None = None) -> Ruling:
    return judge(map(case_of, commands), has or known(), now_ms=100)


def test_a_new_signal_is_recorded_with_the_version_that_answered() -> None:
    ruling = rule(signal(tags=("a",)))
    (one,) = ruling.recorded
    assert (one.signal.request_id, one.signal.model_version, one.signal.weight) == (REQUEST, "v1", 1.0)
    assert ruling.answers == [one.signal.id]


def test_the_same_id_again_is_the_same_signal_whatever_its_time() -> None:
    one = signal(id="sig_" + "1" * 24, time_ms=10)
    ruling = rule(one, signal(id=one.id, time_ms=11))
    assert len(ruling.recorded) == 1
    assert ruling.answers == [one.id, one.id]


def test_the_same_id_with_another_judgement_is_a_conflict() -> None:
    one = signal(id="sig_" + "1" * 24)
    for other in ({"value": False}, {"rater": "bob"}, {"tags": ("x",)}, {"source": Source.EDITED}):
        ruling = rule(one, signal(id=one.id, **other))
        assert isinstance(ruling.answers[1], Refusal)
        assert ruling.answers[1].code == "idempotency_conflict"
        assert len(ruling.recorded) == 1


def test_another_tenant_may_use_the_same_id() -> None:
    has = known()
    has.targets["u", f"i:{REQUEST}"] = Seen("v1")
    one = signal(id="sig_" + "1" * 24)
    assert len(rule(one, signal(id=one.id, tenant="u", value=False), has=has).recorded) == 2


def test_the_same_judgement_under_another_id_is_no_new_row() -> None:
    first, second = signal(), signal()
    ruling = rule(first, second)
    assert len(ruling.recorded) == 1
    assert ruling.answers == [first.id, first.id]
    assert set(ruling.handled) == {("t", first.id), ("t", second.id)}


def test_a_changed_mind_supersedes() -> None:
    first, second = signal(time_ms=1), signal(time_ms=2, value=False)
    ruling = rule(first, second)
    assert [one.signal.supersedes for one in ruling.recorded] == ["", first.id]
    assert [one.signal_id for one in ruling.stands.values()] == [second.id]


def test_a_judgement_that_comes_late_is_recorded_and_does_not_count() -> None:
    later, earlier = signal(time_ms=2), signal(time_ms=1, value=False)
    ruling = rule(later, earlier)
    assert [(one.signal.supersedes, one.signal.superseded_by) for one in ruling.recorded] == [("", ""), ("", later.id)]
    assert [one.signal_id for one in ruling.stands.values()] == [later.id]


@given(
    st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12, unique_by=lambda one: one[0]),
    st.randoms(),
)
def test_what_stands_does_not_depend_on_the_order_of_arrival(said: list[tuple[int, bool]], chance: Any) -> None:
    commands = [signal(time_ms=time_ms, value=value) for time_ms, value in said]
    chance.shuffle(commands)
    has = known()
    values: dict[str, Any] = {}
    for command in commands:
        ruling = judge([case_of(command)], has, now_ms=100)
        values |= {one.signal.id: one.signal.value for one in ruling.recorded}
    (standing,) = has.standing.values()
    assert values[standing.signal_id] == max(said)[1]


def test_raters_kinds_targets_and_implicit_sources_do_not_supersede_each_other() -> None:
    ruling = rule(
        signal(),
        signal(rater="bob", value=False),
        signal(kind=SignalKind.SCORE, value=0.0),
        signal(inference_id="", episode_id="e1", value=False),
        signal(source=Source.REGENERATED, value=False),
        signal(source=Source.COPIED, value=False),
    )
    assert len(ruling.recorded) == 6
    assert not any(one.signal.supersedes for one in ruling.recorded)
    assert [one.signal.weight for one in ruling.recorded][-2:] == [0.1, 0.1]


def test_an_imported_judgement_supersedes_an_explicit_one() -> None:
    ruling = rule(signal(time_ms=1), signal(time_ms=2, value=False, source=Source.IMPORTED))
    assert ruling.recorded[1].signal.supersedes == ruling.recorded[0].signal.id


def test_what_is_not_known_yet_waits_and_a_repeat_of_it_too() -> None:
    one = signal(inference_id="1" * 24)
    ruling = rule(one, one, signal(id=one.id, inference_id="1" * 24, value=False))
    assert ruling.answers[:2] == ["", ""]
    assert isinstance(ruling.answers[2], Refusal)
    assert [case.command for case in ruling.waiting.values()] == [one]
    assert not ruling.recorded


def test_another_tenants_interaction_is_unknown() -> None:
    assert rule(signal(tenant="u")).answers == [""]


@pytest.mark.parametrize(
    ("more", "seen", "code"),
    [
        ({"kind": SignalKind.DEMONSTRATION, "value": " Good day.\n"}, {"answer": "Good day."}, "invalid_value"),
        ({"kind": SignalKind.COMMENT, "value": "text"}, {"erased": True}, "conflict"),
    ],
)
def test_refusals(more: dict[str, Any], seen: dict[str, Any], code: str) -> None:
    command = signal(**more)
    has = known(**seen)
    ruling = rule(command, has=has)
    assert isinstance(ruling.answers[0], Refusal)
    assert (ruling.answers[0].code, ruling.answers[0].is_news) == (code, True)
    again = rule(command, has=has)
    assert isinstance(again.answers[0], Refusal)
    assert not again.answers[0].is_news


def test_a_thumb_on_an_erased_interaction_is_recorded() -> None:
    assert len(rule(signal(), has=known(erased=True)).recorded) == 1
