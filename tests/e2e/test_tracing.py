"""A request's whole trace, as an OTLP collector receives it from every process that had a part in it."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator

import nats as nats_py
import pytest
import pytest_asyncio
from nats.aio.msg import Msg

from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.testkit.collector import SeenSpan
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.observer import Observer
from libs.testkit.stores import ObjectServer, PostgresServer
from libs.testkit.wait import until
from tests.e2e.tracing_scene import ADMIN, TracedScene, traced_scene

HTTP = "POST /v1/chat/completions"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: PostgresServer, object_server: ObjectServer
) -> AsyncIterator[TracedScene]:
    directory = tmp_path_factory.mktemp("traced")
    nats = NatsServer(directory)
    nats.start()
    await provision(nats.settings("provisioner"), ("default",))
    async with traced_scene(directory, nats, postgres_server, object_server) as scene:
        yield scene
    nats.stop()


def _are_a_chain(*spans: SeenSpan) -> bool:
    """Whether each is directly below the one before."""
    return all(below.parent_id == above.span_id for above, below in itertools.pairwise(spans))


async def test_a_request_is_one_trace_from_http_to_the_worker(scene: TracedScene) -> None:
    trace_id, answer = await scene.chat(stream=False)
    assert answer.status_code == 200
    assert answer.headers["x-llmos-trace-id"] == trace_id
    gateway, scheduler, worker = await scene.seen(trace_id, HTTP, "schedule", "chat helpdesk")
    assert gateway.parent_id == f"{scene.asked:016x}"
    assert _are_a_chain(gateway, scheduler, worker)
    spans = (gateway, scheduler, worker)
    assert [span.service for span in spans] == ["llmos-gateway", "llmos-scheduler", "llmos-inference"]
    assert [span.kind for span in spans] == ["server", "consumer", "internal"]
    assert not any(span.is_error for span in spans)
    usage = answer.json()["usage"]
    for span in (gateway, worker):
        assert span.attributes["gen_ai.request.model"] == "helpdesk"
        assert span.attributes["gen_ai.operation.name"] == "chat"
        assert span.attributes["gen_ai.usage.input_tokens"] == usage["prompt_tokens"]
        assert span.attributes["gen_ai.usage.output_tokens"] == usage["completion_tokens"]
        assert span.attributes["gen_ai.response.finish_reasons"] == [answer.json()["choices"][0]["finish_reason"]]
    assert gateway.attributes["http.response.status_code"] == 200
    assert scheduler.attributes["llmos.worker.id"] == gateway.attributes["llmos.worker.id"]
    assert len(scene.collector.trace(trace_id)) == 3, "one span per request and hop"


async def test_a_long_stream_has_as_many_spans_as_a_short_one(scene: TracedScene) -> None:
    trace_id, _ = await scene.chat(stream=True, max_tokens=200)
    gateway, _, worker = await scene.seen(trace_id, HTTP, "schedule", "chat helpdesk")
    assert worker.attributes["gen_ai.usage.output_tokens"] > 50
    worked_s = (worker.ended_ns - worker.started_ns) / 1e9
    assert 0 < worker.attributes["gen_ai.response.time_to_first_chunk"] <= worked_s
    assert gateway.started_ns <= worker.started_ns
    assert len(scene.collector.trace(trace_id)) == 3


async def test_a_request_that_is_tried_again_stays_in_its_trace(scene: TracedScene) -> None:
    async with Observer(scene.platform.nats) as observer:
        asked = asyncio.create_task(scene.chat(user="hang"))
        await until(lambda: observer.running == 1, timeout_s=60, what="the first attempt")
        first = observer.beats["worker-0"].worker
        scene.platform.kill("worker-0")
        scene.platform.start("worker-0")
        await until(
            lambda: observer.beats["worker-0"].worker != first and observer.running == 1,
            timeout_s=120,
            what="the second attempt",
        )
        second = observer.beats["worker-0"].worker
        asked.cancel()
    trace_id = f"{scene.asked:032x}"
    gateway, worker, lost = await scene.seen(trace_id, HTTP, "chat helpdesk", "lost attempt")

    def handed_over() -> list[SeenSpan]:
        return [span for span in scene.collector.trace(trace_id) if span.name == "schedule"]

    await until(lambda: worker.parent_id in {span.span_id for span in handed_over()}, timeout_s=60)
    handed, handed_again = handed_over()[0], handed_over()[-1]
    assert handed is not handed_again
    assert _are_a_chain(handed_again, worker)
    assert {span.parent_id for span in (*handed_over(), lost)} == {gateway.span_id}
    for span, retries, by in ((handed, 0, first), (lost, 0, first), (handed_again, 1, second), (worker, 1, second)):
        assert (span.attributes["llmos.retries"], span.attributes["llmos.worker.id"]) == (retries, by), span
    assert handed.attributes["llmos.attempt"] == lost.attributes["llmos.attempt"]
    assert handed_again.attributes["llmos.attempt"] == worker.attributes["llmos.attempt"]
    assert (lost.is_error, lost.attributes["error.type"]) == (True, "worker_lost")
    assert lost.ended_ns <= handed_again.ended_ns
    assert (gateway.attributes["llmos.retries"], gateway.attributes["llmos.outcome"]) == (1, "cancelled")


async def test_what_feedback_records_of_a_request_leads_back_to_its_trace(scene: TracedScene) -> None:
    trace_id, _ = await scene.chat()
    intake = await scene.caused(trace_id, "process EVT_INFERENCE")
    (transaction,) = await scene.seen(intake.trace_id, "transaction")
    assert (intake.kind, intake.service, intake.parent_id) == ("consumer", "llmos-feedback", "")
    assert transaction.parent_id == intake.span_id
    assert transaction.attributes["db.system.name"] == "postgresql"


async def test_what_is_announced_of_a_judgement_bears_the_trace_of_who_gave_it(scene: TracedScene) -> None:
    nats = scene.platform.nats
    heard: dict[str, str] = {}
    password = nats.passwords["provisioner"]
    listener = await nats_py.connect(f"nats://{nats.host}:{nats.port}", user="provisioner", password=password)

    async def hear(message: Msg) -> None:
        heard[json.loads(message.data)["signal"]["id"]] = (message.headers or {}).get("traceparent", "")

    await listener.subscribe(subjects.SIGNAL_RECORDED, cb=hear)
    await listener.flush()
    _, answer = await scene.chat()
    given = []
    for traced in (True, False):
        trace_id, headers = scene.new_trace()
        judgement = {"inference_id": answer.json()["id"], "kind": "thumb", "value": traced}
        judged = await scene.http.post("/v1/feedback", json=judgement, headers=headers if traced else {})
        given.append((judged.json()["id"], trace_id))
    (first, trace_id), (second, _) = given
    await until(lambda: heard.keys() >= {first, second}, timeout_s=120, what="both events")
    await listener.close()
    (http,) = await scene.seen(trace_id, "POST /v1/feedback")
    assert heard[first] == f"00-{trace_id}-{http.span_id}-01"
    assert heard[second] == ""


async def test_an_admin_call_leads_to_the_registry_its_database_and_s3(scene: TracedScene) -> None:
    async with scene.registry.desk() as desk:
        await desk.publish(write_model(scene.directory / "model", 1), "tone")
    trace_id, answer = await scene.admin("POST", "/versions/tone@1/verify")
    assert answer.status_code == 200, answer.text
    http, called = await scene.seen(trace_id, "POST /admin/v1/versions/{reference}/verify", "registry.version_verify")
    transaction, object_ = await scene.seen(trace_id, "transaction", "S3 stream")
    calls = [span for span in scene.collector.trace(trace_id) if span.name == called.name]
    client, server = sorted(calls, key=lambda span: span.kind)
    assert (client.kind, server.kind, server.service) == ("client", "server", "llmos-registry")
    assert _are_a_chain(http, client, server, transaction)
    assert _are_a_chain(server, object_)


async def test_only_what_is_asked_for_is_recorded(scene: TracedScene) -> None:
    trace_id, headers = scene.new_trace()
    unsampled = {"traceparent": headers["traceparent"][:-2] + "00"}
    _, refused = await scene.chat(headers=unsampled)
    assert "x-llmos-trace-id" not in refused.headers
    _, strange = await scene.chat(headers={"authorization": "Bearer sk-nobody"})
    assert strange.status_code == 401
    wanted, _ = await scene.chat()
    await scene.seen(wanted, HTTP, "schedule", "chat helpdesk")
    assert scene.collector.trace(trace_id) == []
    assert {f"{scene.asked - 1:032x}", f"{scene.asked - 2:032x}"}.isdisjoint(
        {span.trace_id for span in scene.collector.spans}
    )


async def test_no_secret_and_nobodys_words_are_in_any_span(scene: TracedScene) -> None:
    words = "planted-prompt-7f31"
    trace_id, answer = await scene.chat(words, user="planted-user-7f31")
    await scene.seen(trace_id, HTTP, "schedule", "chat helpdesk")
    said = answer.json()["choices"][0]["message"]["content"]
    bad, _ = await scene.chat(model="planted-model-7f31")
    await scene.seen(bad, HTTP)
    lost, _ = await scene.admin("GET", "/planted-path-7f31")
    await scene.seen(lost, "GET unknown")
    everything = b"".join(scene.collector.raw)
    secrets = [words, "7f31", said, ADMIN, scene.platform.api_key, *scene.platform.nats.passwords.values()]
    secrets.append(scene.feedback.database.secret())
    for secret in secrets:
        assert len(secret) > 3
        assert secret.encode() not in everything
    assert b"_INBOX" not in everything
    assert b"rpl." not in everything


async def test_log_lines_of_a_recorded_request_name_its_trace(scene: TracedScene) -> None:
    trace_id, answer = await scene.chat(model="nobody-serves-this")
    assert (answer.status_code, answer.headers["x-llmos-trace-id"]) == (404, trace_id)
    (gateway,) = await scene.seen(trace_id, HTTP)
    lines = [json.loads(line) for line in scene.log("gateway").splitlines()]
    (line,) = [line for line in lines if line["event"] == "request failed" and line.get("trace_id") == trace_id]
    assert line["span_id"] == gateway.span_id
    assert line["request_id"] == gateway.attributes["llmos.request.id"]
    assert (gateway.attributes["error.type"], gateway.is_error) == ("model_not_found", False)
    others = [line for line in lines if line["event"] == "gateway started"]
    assert others
    assert all("trace_id" not in line for line in others)


async def test_a_request_that_waited_in_its_connection_is_in_no_other_trace(scene: TracedScene) -> None:
    trace_id, headers = scene.new_trace()
    body = b'{"model":"helpdesk","messages":[{"role":"user","content":"Hello?"}],"max_tokens":8}'
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer"
    length = f"Content-Length: {len(body)}\r\n"
    first = f"{head} {scene.platform.api_key}\r\ntraceparent: {headers['traceparent']}\r\n{length}\r\n"
    second = f"{head} sk-nobody\r\nConnection: close\r\nx-request-id: second-in-line\r\n{length}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.platform.port)
    writer.write(first.encode() + body + second.encode() + body)
    answers = await asyncio.wait_for(reader.read(-1), 60)
    writer.close()
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 401")) == (1, 1)
    await scene.seen(trace_id, HTTP)
    lines = [json.loads(line) for line in scene.log("gateway").splitlines()]
    (line,) = [line for line in lines if line.get("client_request_id") == "second-in-line"]
    assert "trace_id" not in line


async def test_requests_are_served_whatever_the_collector_does(scene: TracedScene) -> None:
    release = threading.Event()

    def hang() -> int:
        release.wait(60)
        return 200

    for answers in (lambda: 500, hang):
        scene.collector.answers = answers
        done = await asyncio.gather(*(scene.chat() for _ in range(20)))
        assert {answer.status_code for _, answer in done} == {200}
        if answers is not hang:
            await until(lambda: "traces are lost" in scene.log("gateway"), timeout_s=60, what="the line")
    scene.collector.answers = lambda: 200
    release.set()
    trace_id, _ = await scene.chat()
    await scene.seen(trace_id, HTTP, "schedule", "chat helpdesk")
    assert scene.log("gateway").count("traces are lost") == 1
