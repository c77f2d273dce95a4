"""What the plumbing of every service counts; one registry for the whole process, which each page shows.

Nothing here is on the path of a request to a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry

from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.metrics.measure import Measure, counter, gauge, histogram

PLUMBING: Final = CollectorRegistry()

_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_FETCH_BOUNDS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)

READY: Final = gauge("llmos_ready", "1 while nothing is missing without which this process cannot work.")
MISSING: Final = gauge("llmos_dependency_missing", "1 while this is missing.", "dependency")
CONNECTED: Final = gauge("llmos_bus_connected", "1 while the connection to the bus stands.")
RECONNECTS: Final = counter("llmos_bus_reconnects", "Times that the connection to the bus was made again.")
CONNECTIONS: Final = gauge("llmos_database_connections", "Connections to the database.", "state")
MOST_CONNECTIONS: Final = gauge("llmos_database_connections_limit", "Connections to the database there may be.")
PENDING: Final = gauge("llmos_intake_pending_messages", "Messages not delivered to anybody yet.", "stream", "consumer")
LAG: Final = gauge("llmos_intake_lag_seconds", "Age of the oldest message in hand; 0: none is.", "stream", "consumer")
OUTBOX_ROWS: Final = gauge("llmos_outbox_rows", "Rows of the outbox that are not sent, 10,000 at most.")
OUTBOX_AGE: Final = gauge("llmos_outbox_oldest_seconds", "Age of the oldest of them; 0: there is none.")

_CALLS: Final = counter("llmos_bus_calls", "Calls to other services; `ok`, or the code.", "callee", "operation", "code")
_CALL_S: Final = histogram("llmos_bus_call_seconds", "How long their answers took.", "callee")
_ANSWERS: Final = counter("llmos_bus_answers", "Calls that were answered; `ok`, or the code.", "operation", "code")
_ANSWER_S: Final = histogram("llmos_bus_answer_seconds", "How long answering took.", "operation")
_TAKEN: Final = counter("llmos_intake_messages", "Messages that were settled.", "stream")
_WAITED: Final = counter("llmos_intake_retries", "Batches that could not be recorded yet.", "stream", "code")
_GIVEN_UP: Final = counter("llmos_intake_given_up", "Messages that can never be recorded.", "stream")
_FAILED_ROUNDS: Final = counter("llmos_rounds_failed", "Rounds of work in the background that failed.", "work")
_UNREAD: Final = counter("llmos_readings_failed", "Numbers that could not be looked up for this page.", "reading")
_TRANSACTIONS: Final = counter("llmos_database_transactions", "Transactions that ended.", "outcome")
_TRANSACTION_S: Final = histogram("llmos_database_transaction_seconds", "How long they took, waiting included.")
_STORE_FAILURES: Final = counter("llmos_objects_failed", "Requests that the object store did not answer.")
_FETCHED: Final = counter("llmos_fetch_bytes", "Bytes of versions that were fetched.")
_FETCH_S: Final = histogram("llmos_fetch_seconds", "How long it took to fetch a version.", "outcome")

MEASURES: Final[tuple[Measure, ...]] = tuple(value for value in list(globals().values()) if isinstance(value, Measure))

CALLS: Final = _CALLS.counter(PLUMBING)
CALL_S: Final = _CALL_S.histogram(PLUMBING, _BOUNDS_S)
ANSWERS: Final = _ANSWERS.counter(PLUMBING)
ANSWER_S: Final = _ANSWER_S.histogram(PLUMBING, _BOUNDS_S)
TAKEN: Final = _TAKEN.counter(PLUMBING)
WAITED: Final = _WAITED.counter(PLUMBING)
GIVEN_UP: Final = _GIVEN_UP.counter(PLUMBING)
FAILED_ROUNDS: Final = _FAILED_ROUNDS.counter(PLUMBING)
UNREAD: Final = _UNREAD.counter(PLUMBING)
TRANSACTIONS: Final = _TRANSACTIONS.counter(PLUMBING)
TRANSACTION_S: Final = _TRANSACTION_S.histogram(PLUMBING, _BOUNDS_S)
STORE_FAILURES: Final = _STORE_FAILURES.counter(PLUMBING)
FETCHED: Final = _FETCHED.counter(PLUMBING)
FETCH_S: Final = _FETCH_S.histogram(PLUMBING, _FETCH_BOUNDS_S)


@contextmanager
def called(callee: str, operation: str) -> Iterator[None]:
    """Counts the call in this block, by its code if it fails."""
    begun_s, code = clock.monotonic_s(), "ok"
    try:
        yield
    except ServiceError as error:
        code = error.code
        raise
    except BaseException:
        code = "cancelled"
        raise
    finally:
        CALLS.labels(callee, operation, code).inc()
        CALL_S.labels(callee).observe(clock.monotonic_s() - begun_s)


@contextmanager
def transacted() -> Iterator[None]:
    """Counts the transaction in this block, and how it ended."""
    begun_s, outcome = clock.monotonic_s(), "rolled_back"
    try:
        yield
        outcome = "committed"
    finally:
        TRANSACTIONS.labels(outcome).inc()
        TRANSACTION_S.observe(clock.monotonic_s() - begun_s)


@contextmanager
def fetched(size_bytes: int) -> Iterator[None]:
    """Counts the fetching of a version in this block."""
    begun_s, outcome = clock.monotonic_s(), "failed"
    try:
        yield
        outcome = "ok"
        FETCHED.inc(size_bytes)
    finally:
        FETCH_S.labels(outcome).observe(clock.monotonic_s() - begun_s)
