"""The public catalogue: its page is current, its events are pinned, and nothing that must stay inside gets out."""

import json
from pathlib import Path
from typing import Final

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.asyncapi import document
from libs.contracts.feedback import SignalKind, SignalRecorded
from libs.contracts.public_events import PUBLIC_EVENTS, TYPES, Made, PublicEvent
from libs.contracts.registry import VersionPublished
from libs.contracts.rollouts import RolloutChanged, TurnChanged
from libs.contracts.training import JobChanged
from tests.contract.feedback_samples import SIGNAL
from tests.contract.test_golden_messages import SAMPLES

ROOT: Final = Path(__file__).resolve().parents[2]
GOLDEN: Final = json.loads((Path(__file__).parent / "golden_public_events.json").read_text(encoding="utf-8"))


def made_of(event: PublicEvent[msgspec.Struct]) -> Made:
    return event.make(SAMPLES[event.message.__name__])


def test_the_committed_document_is_what_the_contracts_say() -> None:
    page = json.loads((ROOT / "architecture" / "asyncapi.json").read_text(encoding="utf-8"))
    assert page == document(), "run: .venv/bin/python -m libs.contracts.asyncapi > architecture/asyncapi.json"


def test_every_channel_of_the_document_can_be_followed_to_its_schema() -> None:
    page = document()
    for name, channel in page["channels"].items():
        message = page["components"]["messages"][name]
        assert channel["messages"][name] == {"$ref": f"#/components/messages/{name}"}
        assert channel["address"] == f"pub.{{tenant}}.{message['name']}"
        envelope, told = message["payload"]["allOf"]
        assert envelope["$ref"].rpartition("/")[2] in page["components"]["schemas"]
        assert told["properties"]["data"]["$ref"].rpartition("/")[2] in page["components"]["schemas"]
    assert sorted(each["name"] for each in page["components"]["messages"].values()) == sorted(TYPES)


@pytest.mark.parametrize("event", PUBLIC_EVENTS, ids=lambda event: str(event.name))
def test_an_event_is_made_as_it_always_was(event: PublicEvent[msgspec.Struct]) -> None:
    made = made_of(event)
    assert isinstance(made.data, event.data)
    said = json.loads(msgspec.json.encode(made.data))
    assert {"tenant": made.tenant, "subject": made.subject, "data": said} == GOLDEN[event.name]


@pytest.mark.parametrize("kind", [SignalKind.COMMENT, SignalKind.DEMONSTRATION])
def test_the_text_of_a_judgement_is_not_told(kind: SignalKind) -> None:
    signal = msgspec.structs.replace(SIGNAL, kind=kind, value="my secret")
    event = next(each for each in PUBLIC_EVENTS if each.message is SignalRecorded)
    assert b"secret" not in msgspec.json.encode(event.make(SignalRecorded(id="e1", time_ms=1, signal=signal)).data)


def test_no_tenant_can_stand_in_a_subject_as_another_or_as_the_platform() -> None:
    odd = ["", "a", "a.b", "a.>", "*", "_platform", "_" + "0" * 32, "a b", "ä", "x" * 200]
    tokens = [subjects.public_token(tenant) for tenant in odd]
    assert len(set(tokens)) == len(odd)
    assert all(subjects.is_token(token) for token in tokens)
    assert (tokens[0], tokens[1]) == ("_platform", "a")


def test_what_belongs_to_a_tenant_is_told_to_that_tenant() -> None:
    made = {each.message: each.make for each in PUBLIC_EVENTS}
    replace = msgspec.structs.replace
    version = SAMPLES["VersionPublished"]
    assert isinstance(version, VersionPublished)
    job, rollout, turn = SAMPLES["JobChanged"], SAMPLES["RolloutChanged"], SAMPLES["TurnChanged"]
    assert isinstance(job, JobChanged)
    assert isinstance(rollout, RolloutChanged)
    assert isinstance(turn, TurnChanged)
    owned = (
        replace(version, version=replace(version.version, tenant="t9")),
        replace(SAMPLES["AliasMoved"], tenant="t9"),
        replace(job, job=replace(job.job, tenant="t9")),
        replace(rollout, rollout=replace(rollout.rollout, tenant="t9")),
        replace(turn, turn=replace(turn.turn, declared=replace(turn.turn.declared, tenant="t9"))),
    )
    assert [made[type(each)](each).tenant for each in owned] == ["t9"] * len(owned)
