"""The load generator counts exactly what servers send, and calls an error what is one."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import loads
from benchmarks.generator import Generator, GeneratorError, Target, build_generator
from benchmarks.isolation import free_port
from benchmarks.loads import Load
from benchmarks.mock_engine import prepare, split_events

LIMIT_S = 20.0


def counted(name: str, **changes: float) -> Load:
    """One of the real loads, open-ended: the number of requests ends it."""
    load = next(load for load in loads.MOCK_LOADS if load.name == name)
    return replace(load, warm_s=0.0, window_s=LIMIT_S, **changes)  # type: ignore[arg-type] # numbers of the right kind


def test_streamed_events_are_counted_exactly(generator: Generator, mock: Target) -> None:
    figures = generator.run(mock, counted("burst-c32"), max_requests=500)
    assert (figures.errors, figures.first_error) == (0, "")
    assert figures.all_requests == figures.requests == 500
    assert figures.all_events == figures.events == 500 * 66
    assert figures.served == pytest.approx(500)
    assert figures.ttft_p50_ms is not None
    assert figures.latency_p50_ms is not None
    assert figures.ttft_p50_ms <= figures.latency_p50_ms


def test_whole_answers_have_no_events(generator: Generator, mock: Target) -> None:
    figures = generator.run(mock, counted("whole-c32"), max_requests=500)
    assert (figures.errors, figures.all_requests, figures.all_events) == (0, 500, 0)
    assert figures.ttft_p50_ms is None


def test_paced_tokens_arrive_at_their_pace(generator: Generator, mock: Target) -> None:
    figures = generator.run(mock, counted("paced-c16"), max_requests=16)
    assert (figures.errors, figures.all_events) == (0, 16 * 66)
    assert figures.gap_p50_ms == pytest.approx(10.0, abs=5.0)
    assert figures.latency_p50_ms is not None
    assert figures.latency_p50_ms > 600


def test_a_request_counts_with_its_part_of_the_window(generator: Generator, mock: Target) -> None:
    load = replace(counted("paced-c1"), window_s=0.2)
    figures = generator.run(mock, load, max_requests=1)
    # One answer takes the whole run, of which the window covers 0.2 s; the rest is drained.
    assert (figures.requests, figures.all_requests, figures.all_events, figures.errors) == (0, 1, 66, 0)
    assert figures.served == pytest.approx(0.2 / figures.elapsed_s, rel=0.05)
    assert 0 < figures.events < 40


@contextmanager
def server(*parts: bytes) -> Iterator[Target]:
    """A server that answers the first request with `parts`, each in a packet of its own, and then closes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.recv(65_536)
            for part in parts:
                connection.sendall(part)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield Target(listener.getsockname()[1], "m", {}, {})
    finally:
        thread.join(LIMIT_S)
        listener.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
STREAM = replace(counted("burst-c1"), min_events=2)
WHOLE = counted("whole-c1")


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 1000])
def test_events_are_found_wherever_the_bytes_are_cut(generator: Generator, cut: int) -> None:
    body = b"a;ext=1\r\ndata: abc\n\r\n1\r\n\n\r\n5\r\ndata:\r\n9\r\n [DONE]\n\n\r\n0\r\nx-trailer: data: no\r\n\r\n"
    raw = CHUNKED + body
    with server(*(raw[at : at + cut] for at in range(0, len(raw), cut))) as target:
        figures = generator.run(target, STREAM, max_requests=1)
    assert (figures.errors, figures.first_error, figures.all_events) == (0, "", 2)


def test_a_stream_without_its_end_is_an_error(generator: Generator) -> None:
    with server(CHUNKED + b"a\r\ndata: abc\n\r\na\r\ndata: abc\n\r\n0\r\n\r\n") as target:
        figures = generator.run(target, STREAM, max_requests=1)
    assert (figures.errors, figures.served) == (1, 0)
    assert "ended too early" in figures.first_error


def test_a_connection_that_breaks_inside_a_response_is_an_error(generator: Generator) -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345") as target:
        figures = generator.run(target, WHOLE, max_requests=1)
    assert (figures.errors, figures.requests) == (1, 0)
    assert "closed the connection" in figures.first_error


def test_another_status_is_an_error_and_is_shown(generator: Generator) -> None:
    with server(b'HTTP/1.1 429 Too "Many"\r\nContent-Length: 0\r\n\r\n') as target:
        figures = generator.run(target, WHOLE, max_requests=1)
    assert (figures.errors, figures.requests, figures.all_requests) == (1, 0, 1)
    assert "429 Too  Many" in figures.first_error


def test_the_end_of_the_connection_may_be_the_end_of_the_body(generator: Generator) -> None:
    with server(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello") as target:
        figures = generator.run(target, WHOLE, max_requests=1)
    assert (figures.errors, figures.requests) == (0, 1)


def test_nobody_listening_is_a_failure_of_the_run(generator: Generator) -> None:
    with pytest.raises(GeneratorError, match="connect"):
        generator.run(Target(free_port(), "m", {}, {}), WHOLE, max_requests=1)


def test_keys_stay_out_of_the_command_line(generator: Generator) -> None:
    with server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as target:
        generator.run(replace(target, headers={"Authorization": "Bearer secret"}), WHOLE, max_requests=1)
    written = generator.scratch / "headers.txt"
    assert written.read_bytes() == b"Authorization: Bearer secret\r\n"
    assert written.stat().st_mode & 0o077 == 0


def test_a_compiled_generator_is_not_compiled_again(generator: Generator, tmp_path: Path) -> None:
    home = generator.program.parent
    before = generator.program.stat().st_mtime_ns
    assert build_generator(home) == generator.program
    assert generator.program.stat().st_mtime_ns == before
    assert build_generator(tmp_path) != generator.program


def test_prepared_answers_hold_one_chunk_for_each_event() -> None:
    answer = prepare("mock", b'[{"role":"user","content":"hi"}]', 64)
    head, _, body = answer.burst.partition(b"\r\n\r\n")
    assert b"chunked" in head
    assert body.count(b"data: ") == 66
    assert body.count(b"\r\ndata: ") == 66
    assert b"".join(answer.steps) == answer.burst
    whole = json.loads(answer.whole.partition(b"\r\n\r\n")[2])
    assert whole["usage"]["completion_tokens"] == 64


def test_events_are_split_without_loss() -> None:
    body = b"data: a\n\ndata: b\n\n"
    assert split_events(body) == [b"data: a\n\n", b"data: b\n\n"]
