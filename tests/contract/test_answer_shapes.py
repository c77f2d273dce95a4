"""The byte shape of vLLM's answers, pinned: keys and their order, event framing, first and last events.

A new vLLM that changes it fails here instead of in a client; the fake engine must have the same shape.
"""

import pytest

from libs.testkit.fake_engine import FakeEngine
from libs.testkit.shapes import shape_of_json, shape_of_stream
from libs.testkit.worker_double import envelope
from tests.contract.cases import CASES, Case, golden
from tests.contract.conftest import VllmWorker

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def shape(case: Case, body: bytes) -> list[str]:
    return shape_of_stream(body) if case.streamed else [shape_of_json(body)]


@every_case
async def test_the_fake_engine_has_the_golden_shape(case: Case) -> None:
    assert shape(case, await answer_of_fake(case.route, case.body)) == golden(case)


@pytest.mark.vllm
@every_case
async def test_vllm_has_the_golden_shape(vllm_worker: VllmWorker, case: Case) -> None:
    answer = await vllm_worker.run(envelope(route=case.route), case.body)
    assert answer.last.status in {0, 200}, answer.last.meta
    assert shape(case, answer.body) == golden(case)


def test_a_changed_key_a_changed_order_and_a_changed_frame_are_seen() -> None:
    assert shape_of_json(b'{"a":1,"b":"x"}') != shape_of_json(b'{"b":"x","a":1}')
    assert shape_of_json(b'{"a":1}') != shape_of_json(b'{"a":"1"}')
    assert shape_of_json(b'{"object":"x"}') != shape_of_json(b'{"object":"y"}')
    with pytest.raises(ValueError, match="not an event"):
        shape_of_stream(b'data: {"a":1}\n\n: comment\n\n')


async def answer_of_fake(route: str, body: bytes) -> bytes:
    """Call the fake engine's application as a server would."""
    sent: list[bytes] = []

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, object]) -> None:
        part = message.get("body", b"")
        assert isinstance(part, bytes)
        sent.append(part)

    await FakeEngine().app({"type": "http", "path": route, "headers": []}, receive, send)  # type: ignore[arg-type]
    return b"".join(sent)
