"""Which requests are recorded, what follows from what, and that nothing is done where nothing is recorded."""

import asyncio
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError

from libs.kit import clock
from libs.kit.bus.parser import Message
from libs.kit.bus.traced import received
from libs.kit.errors import ServiceError
from libs.kit.outbox.causes import Causes
from libs.kit.process import refused
from libs.kit.settings import ServiceSettings, TracingSettings
from libs.kit.telemetry import tracing
from libs.kit.telemetry.logging import name_trace
from libs.kit.telemetry.traceparent import Parent, checked, is_sampled, read, write
from libs.kit.telemetry.tracing import Kind, Step, Unrecorded, Within
from libs.testkit.traces import NotedSpan, Notes, noting

ROOT = Path(__file__).resolve().parents[3]
SAMPLED = f"00-{7:032x}-{8:016x}-01"
UNSAMPLED = SAMPLED[:-2] + "00"


def _is(span: object, noted: NotedSpan) -> bool:
    return span is noted


@pytest.fixture
def notes() -> Iterator[Notes]:
    with noting() as notes:
        yield notes


def test_a_process_that_records_nothing_imports_nothing_for_it() -> None:
    program = (
        "import sys\n"
        "import libs.kit.backend, libs.kit.objects, libs.kit.process, services.gateway.app, services.scheduler.app\n"
        "from libs.kit.settings import TracingSettings\n"
        "from libs.kit.telemetry.tracing import configure_tracing\n"
        "configure_tracing('gateway', TracingSettings())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, env={})
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "00",
        write(0xABC, 8).upper(),
        SAMPLED + "-x",
        SAMPLED[:-1],
        f"ff{SAMPLED[2:]}",
        f"00-{0:032x}-{8:016x}-01",
        f"00-{7:032x}-{0:016x}-01",
        SAMPLED.replace("0", "g"),
        SAMPLED + "\r\nx: y",
        "é" * 55,
    ],
)
def test_what_is_no_traceparent_is_nothing(wrong: str) -> None:
    assert checked(wrong.encode()) == ""
    assert read(wrong) is None


def test_a_traceparent_is_read_as_it_was_written() -> None:
    assert checked(SAMPLED.encode()) == SAMPLED == write(7, 8)
    assert read(SAMPLED) == Parent(7, 8)
    assert (is_sampled(SAMPLED), is_sampled(UNSAMPLED), read(UNSAMPLED)) == (True, False, None)


def test_a_caller_decides_and_else_chance(notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def chance(ratio: float) -> bool:
        asked.append(ratio)
        return len(asked) == 1

    monkeypatch.setattr(clock, "chance", chance)
    tracing.record_by(notes, 0.25)
    assert (tracing.is_wanted(SAMPLED), tracing.is_wanted(UNSAMPLED)) == (True, False)
    assert asked == []
    assert (tracing.is_wanted(""), tracing.is_wanted("")) == (True, False)
    assert asked == [0.25, 0.25]
    for traceparent, parent in ((SAMPLED, Parent(7, 8)), ("", None)):
        assert _is(tracing.begin_trace("x", Kind.SERVER, traceparent), notes.spans[-1])
        assert notes.spans[-1].parent == parent
    tracing.record_by(None)
    assert not tracing.is_wanted(SAMPLED)
    assert tracing.begin_trace("x", Kind.SERVER, SAMPLED) is None


@pytest.mark.parametrize(("ratio", "least", "most"), [(0.0, 0, 0), (0.5, 4_500, 5_500), (1.0, 10_000, 10_000)])
def test_chance_is_about_as_often_as_it_should_be(ratio: float, least: int, most: int) -> None:
    assert least <= sum(clock.chance(ratio) for _ in range(10_000)) <= most


def test_steps_are_below_the_span_of_their_task_and_nothing_without_one(notes: Notes) -> None:
    with Step("alone", Kind.CLIENT, {}) as step:
        assert step is None
    with Within(tracing.begin("outer", Kind.SERVER, SAMPLED)), Step("inner", Kind.CLIENT, {"a": 1}) as step:
        assert _is(step, notes.spans[1])
    outer, inner = notes.spans
    assert inner.parent == Parent(7, outer.number)
    assert (inner.said, outer.ended, inner.ended) == ({"a": 1}, True, True)
    assert tracing.current() is None


def test_a_failure_is_named_by_its_code_and_never_by_its_text(notes: Notes) -> None:
    with pytest.raises(ServiceError), Within(tracing.begin("a", Kind.SERVER, SAMPLED)):
        raise ServiceError("storage_unavailable", "secret words")
    with pytest.raises(KeyError), Within(tracing.begin("b", Kind.SERVER, SAMPLED)), Step("c", Kind.CLIENT, {}):
        raise KeyError("secret words")
    assert [span.errors for span in notes.spans] == [["storage_unavailable"], ["KeyError"], ["KeyError"]]
    assert all(span.ended for span in notes.spans)


async def test_tasks_at_the_same_time_do_not_see_each_others_spans(notes: Notes) -> None:
    async def work(number: int) -> None:
        with Within(tracing.begin(f"outer-{number}", Kind.SERVER, write(number, 1))):
            await asyncio.sleep(0)
            with Step(f"inner-{number}", Kind.CLIENT, {}):
                await asyncio.sleep(0)

    await asyncio.gather(*(work(number) for number in range(1, 50)))
    parents = {span.name: span.parent.trace_id for span in notes.spans if span.parent}
    assert parents == {f"{which}-{number}": number for which in ("outer", "inner") for number in range(1, 50)}


def test_log_lines_of_a_recorded_trace_name_it(notes: Notes) -> None:
    logger = structlog.get_logger()
    with Within(tracing.begin("x", Kind.SERVER, SAMPLED)):
        line = name_trace(logger, "info", {"event": "a"})
    assert line == {"event": "a", "trace_id": f"{7:032x}", "span_id": f"{1:016x}"}
    assert name_trace(logger, "info", {"event": "b"}) == {"event": "b"}
    assert len(notes.spans) == 1


def test_a_batch_names_the_traces_of_its_messages_and_has_its_own(notes: Notes) -> None:
    def message(traceparent: str) -> Message:
        return Message("evt.x", "ack", f"NATS/1.0\r\ntraceparent: {traceparent}\r\n\r\n".encode(), b"")

    plain = Message("evt.x", "ack", b"", b"")
    with received("EVT", [plain, message(UNSAMPLED), message("nonsense")]):
        assert tracing.current() is None
    with received("EVT", [message(SAMPLED), plain, message(write(9, 1)), message(SAMPLED)]):
        assert _is(tracing.current(), notes.spans[0])
    (span,) = notes.spans
    assert (span.parent, set(span.links)) == (None, {Parent(7, 8), Parent(9, 1)})
    assert span.said["messaging.batch.message_count"] == 4


def test_an_iterator_that_is_closed_has_not_failed_and_what_goes_on_and_on_is_in_no_span(notes: Notes) -> None:
    def listen() -> Generator[int, None, None]:
        with Step("heard", Kind.INTERNAL, {}):
            yield 1

    with Within(tracing.begin("x", Kind.SERVER, SAMPLED)):
        listening = listen()
        next(listening)
        listening.close()
        with Unrecorded(), Step("again and again", Kind.INTERNAL, {}) as span:
            assert span is None
        assert _is(tracing.current(), notes.spans[0])
    assert [(span.name, span.errors, span.ended) for span in notes.spans] == [("x", [], True), ("heard", [], True)]


def test_what_caused_an_event_is_kept_for_the_newest_of_them(notes: Notes) -> None:
    causes = Causes()
    causes.note("before")
    with Within(tracing.begin("x", Kind.SERVER, SAMPLED)):
        for number in range(5_000):
            causes.note(f"e{number}")
    (span,) = notes.spans
    assert (causes.of("before"), causes.of("e0"), causes.of("e4999")) == ("", "", span.traceparent)
    causes.keep("told", SAMPLED)
    assert causes.of("told") == SAMPLED


class _Settings(ServiceSettings):
    """Of some service."""


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("LLMOS_TRACING_ENDPOINT", "collector:4318", "LLMOS_TRACING_ENDPOINT: Value error, must be an address"),
        ("LLMOS_TRACING_ENDPOINT", "http://me:secret@host", "LLMOS_TRACING_ENDPOINT: Value error, must be an address"),
        ("LLMOS_TRACING_ENDPOINT", "http://[::1", "LLMOS_TRACING_ENDPOINT: Value error,"),
        ("LLMOS_TRACING_SAMPLE_RATIO", "1.5", "LLMOS_TRACING_SAMPLE_RATIO: Input should be less than or equal to 1"),
        ("LLMOS_TRACING_SAMPLE_RATIO", "often", "LLMOS_TRACING_SAMPLE_RATIO: Input should be a valid number"),
        ("LLMOS_HANG_LIMIT_S", "inf", "LLMOS_HANG_LIMIT_S: Input should be a finite number"),
        ("LLMOS_HANG_LIMIT_S", "-1", "LLMOS_HANG_LIMIT_S: Input should be greater than or equal to 0"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    variable: str, value: str, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValidationError) as error:
        _Settings()
    told = refused("gateway", error.value)
    assert told.startswith(f"gateway: {line}")
    assert "\n" not in told
    assert "secret" not in told


def test_a_service_may_differ_from_what_all_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMOS_TRACING_ENDPOINT", "http://127.0.0.1:4318")
    assert ServiceSettings().tracing == TracingSettings(endpoint="http://127.0.0.1:4318", sample_ratio=0.005)
    own = ServiceSettings(tracing={"sample_ratio": 0.5})  # type: ignore[arg-type] # as the environment gives it
    assert (own.tracing.endpoint, own.tracing.sample_ratio) == ("http://127.0.0.1:4318", 0.5)
