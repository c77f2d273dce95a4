"""The bytes of every message version, pinned: a change that an old reader cannot take is a red test."""

import json
from pathlib import Path
from typing import Final

import msgspec
import pytest

from libs.contracts import frames
from libs.contracts.inference import (
    Cancel,
    DirectWorkers,
    Envelope,
    FrameMeta,
    GatewayBeat,
    Handover,
    Released,
    RequestCompleted,
    Running,
    ServedModel,
    ServiceClass,
    Usage,
    WorkerBeat,
    WorkerLost,
    WorkerState,
)
from tests.contract.audit_samples import AUDIT_SAMPLES
from tests.contract.discovery_samples import DISCOVERY_SAMPLES
from tests.contract.events_samples import EVENTS_SAMPLES
from tests.contract.feedback_samples import FEEDBACK_SAMPLES
from tests.contract.identity_samples import IDENTITY_SAMPLES
from tests.contract.operations_samples import OPERATIONS_SAMPLES
from tests.contract.registry_samples import SAMPLES as REGISTRY_SAMPLES
from tests.contract.rollout_samples import ROLLOUT_SAMPLES
from tests.contract.scheduling_samples import SCHEDULING_SAMPLES
from tests.contract.training_samples import TRAINING_SAMPLES

GOLDEN: Final = json.loads((Path(__file__).parent / "golden_messages.json").read_text(encoding="utf-8"))
USAGE: Final = Usage(prompt_tokens=3, cached_tokens=2, completion_tokens=5, finish_reason="stop")

SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "Envelope": Envelope(
        request_id="r1",
        reply="rpl.gateway.g1.r1",
        route="/v1/chat/completions",
        model="helpdesk",
        pool="default",
        service_class=ServiceClass.REALTIME,
        tenant="t1",
        start_by_ms=2,
        deadline_ms=3,
        submitted_ms=1,
        retry=1,
        stream=True,
        max_tokens=7,
        cache_salt="aa",
        traceparent="00-1-2-01",
    ),
    "FrameMeta": FrameMeta(
        worker="w1",
        worker_name="worker-0",
        model_version="helpdesk@sha256:0123456789ab",
        content_type="application/json",
        usage=USAGE,
        code="engine_error",
        message="m",
        param="p",
        queue_ms=4,
    ),
    "WorkerBeat": WorkerBeat(
        worker="w1",
        name="worker-0",
        pool="default",
        state=WorkerState.READY,
        capacity=16,
        models=(ServedModel(name="helpdesk", version="v", adapter=True, max_model_len=9, routes=("/tokenize",)),),
        engine="vllm 0.32.0 (cpu)",
        running=(Running("r1", 65_536),),
        sequence=8,
        revision=7,
        missing=("helpdesk@sha256:bbbbbbbbbbbb",),
        base="helpdesk@sha256:aaaaaaaaaaaa",
        deployment_error="no room",
    ),
    "Released": Released("w1", (Running("r1", 65_536),)),
    "GatewayBeat": GatewayBeat("g1"),
    "DirectWorkers": DirectWorkers("s1", "default", ("w1", "w2")),
    "WorkerLost": WorkerLost("w1", "disconnected"),
    "Cancel": Cancel(attempt=65_536),
    "CancelByOperator": Cancel(by_operator=True),
    "Handover": Handover(accepted=False, reason="full"),
    "HandoverOfSeveral": Handover(accepted=True, also=("0-a", "0-b")),
    "RequestCompleted": RequestCompleted(
        id="e1",
        time_ms=9,
        request_id="r1",
        client_request_id="c1",
        tenant="t1",
        key_id="k1",
        route="/v1/chat/completions",
        model="helpdesk",
        outcome="ok",
        status=200,
        model_version="v",
        worker="w1",
        error_code="",
        stream=True,
        service_class=ServiceClass.BATCH,
        retries=1,
        usage=USAGE,
        queue_ms=1,
        first_byte_ms=2,
        total_ms=3,
        response_bytes=4,
    ),
    **REGISTRY_SAMPLES,
    **FEEDBACK_SAMPLES,
    **TRAINING_SAMPLES,
    **ROLLOUT_SAMPLES,
    **EVENTS_SAMPLES,
    **IDENTITY_SAMPLES,
    **AUDIT_SAMPLES,
    **SCHEDULING_SAMPLES,
    **OPERATIONS_SAMPLES,
    **DISCOVERY_SAMPLES,
}


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_a_message_is_written_as_it_always_was_and_old_bytes_can_be_read(name: str) -> None:
    sample = SAMPLES[name]
    assert json.loads(msgspec.json.encode(sample)) == GOLDEN[name]
    assert msgspec.json.decode(json.dumps(GOLDEN[name]), type=type(sample)) == sample


def test_a_field_from_the_future_is_ignored() -> None:
    future = GOLDEN["Cancel"] | {"invented_later": 1}
    assert msgspec.json.decode(json.dumps(future), type=Cancel) == SAMPLES["Cancel"]


def test_the_frame_header_is_pinned() -> None:
    payload = frames.encode(7, 0x010203, 5, b"body", status=200, meta=b"{}")
    assert payload.hex() == GOLDEN["frame"]
    assert frames.join([(b"r1", payload), (b"r2", b"")]).hex() == GOLDEN["bundle"]
