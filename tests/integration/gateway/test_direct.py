"""Requests that a gateway hands to a worker itself, and every way in which that can fail."""

import asyncio

from libs.contracts import subjects
from libs.contracts.frames import direct_attempt
from libs.contracts.inference import Envelope
from libs.kit.bus import Message
from libs.testkit.front import CHAT, Front
from libs.testkit.path_double import Double, Work
from libs.testkit.wait import until


async def _name(front: Front, double: Double, *workers: str) -> None:
    """Let `workers` beat and be named, until the gateway would turn to one of them."""
    for worker in workers:
        double.beat(worker)
    double.name_direct(*workers)
    await until(lambda: front.gateway.direct.choose("default", "helpdesk") in workers, what="the names")


def _ways(front: Front) -> tuple[int, ...]:
    """How many went directly, to a scheduler, into the stream."""
    return tuple(front.gateway.metrics.submissions[way] for way in ("direct", "express", "stored"))


async def test_a_named_worker_has_it_and_no_scheduler_ever_hears_of_it(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    work = await double.next()
    assert (work.attempt, work.delivery) == (direct_attempt(0), 0)
    work.answer()
    assert (await task).json() == {"ok": True}
    assert _ways(front) == (1, 0, 0)
    page = (await front.http.get("/metrics")).text
    assert 'llmos_gateway_submissions_total{way="direct"} 1.0' in page


async def test_one_that_refuses_is_left_alone_and_the_scheduler_asked(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    (await double.next()).refuse()
    again = await double.next()
    assert (again.delivery, again.envelope.retry) == (1, 0)
    again.answer()
    assert (await task).status_code == 200
    other = front.ask()
    (await double.next()).answer()
    await other
    assert _ways(front) == (1, 2, 2), "nobody answers for a scheduler here, so the stream has both in the end"


async def test_one_that_nobody_hears_is_noticed_at_once(front: Front, double: Double) -> None:
    await _name(front, double, "w1")
    began_s = asyncio.get_running_loop().time()
    task = front.ask()
    work = await double.next()
    assert asyncio.get_running_loop().time() - began_s < 0.9, "not by the timeout"
    work.answer()
    assert (await task).status_code == 200
    assert _ways(front) == (1, 1, 1)


async def test_one_that_says_nothing_is_not_waited_for_and_may_not_answer_later(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    silent = await double.next()
    stored = await double.next()
    assert (stored.delivery, stored.envelope.retry) == (1, 0)
    stored.accept("w2")
    silent.accept("w1")
    call_off = (silent.envelope.request_id, silent.attempt)
    await until(lambda: call_off in double.cancels, what="the cancel of the late one")
    silent.head(b"wrong", "application/json")
    stored.head(b'{"ok":true}', "application/json")
    stored.last()
    assert (await task).json() == {"ok": True}


async def test_one_that_dies_with_it_has_it_submitted_again(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    (await double.next()).accept()
    (inflight,) = front.gateway.relay.requests()
    await until(lambda: inflight.worker == "w1")
    double.announce_loss()
    again = await double.next()
    assert (again.delivery, again.envelope.retry) == (1, 1)
    again.answer()
    assert (await task).status_code == 200
    assert _ways(front) == (1, 0, 1)


async def test_a_scheduler_that_names_nobody_is_asked(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    double.name_direct(scheduler="another")
    await until(lambda: front.gateway.direct.choose("default", "helpdesk") == "", what="its word")
    asked: list[Message] = []
    deaf = double.scheduler_bus.subscribe(subjects.express("default"), asked.append)
    await double.scheduler_bus.flush()
    task = front.ask()
    await until(lambda: len(asked) == 1)
    (await double.next()).answer()
    await task
    assert _ways(front)[0] == 0
    double.scheduler_bus.unsubscribe(deaf)


async def test_the_load_is_spread_and_given_back(front: Front, double: Double) -> None:
    for worker in ("w1", "w2"):
        double.hear_runs(worker)
    seen: list[Work] = []
    double.on_work = seen.append
    await _name(front, double, "w1", "w2")
    tasks = [front.ask() for _ in range(16)]
    await until(lambda: len(seen) == 16)
    assert front.gateway.direct.choose("default", "helpdesk") == "", "each has as many as it takes"
    for work in seen:
        work.answer()
    assert {(await task).status_code for task in tasks} == {200}
    await until(lambda: front.gateway.direct.choose("default", "helpdesk") != "")
    assert _ways(front) == (16, 0, 0)


async def test_words_that_cannot_be_read_change_nothing(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    for nonsense in (b"", b"{", b'{"scheduler":1}'):
        double.scheduler_bus.publish(subjects.direct("default"), nonsense)
    await double.scheduler_bus.flush()
    task = front.ask()
    work = await double.next()
    assert isinstance(work.envelope, Envelope)
    work.answer()
    assert (await task).status_code == 200
    assert _ways(front) == (1, 0, 0)


async def test_a_client_that_leaves_calls_off_what_was_handed_over(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    _, writer = await front.connect(CHAT)
    work = await double.next()
    work.accept()
    writer.transport.abort()
    await until(lambda: (work.envelope.request_id, None) in double.cancels, what="the cancel")


async def test_that_nobody_listened_to_a_hand_over_may_be_said_after_the_request_was_stored(
    front: Front, double: Double
) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    silent = await double.next()
    (inflight,) = front.gateway.relay.requests()
    front.gateway.relay.resend_unconfirmed()
    double.worker_bus.publish(silent.envelope.reply, b"")
    stored = await double.next()
    await double.worker_bus.flush()
    await until(lambda: inflight.unheard == 0, what="the late word")
    stored.answer()
    assert (await task).status_code == 200


async def test_a_client_that_reads_slowly_occupies_no_worker(front: Front, double: Double) -> None:
    double.hear_runs()
    await _name(front, double, "w1")
    task = front.ask()
    work = await double.next()
    (inflight,) = front.gateway.relay.requests()
    assert inflight.direct_worker == "w1"
    work.accept()
    work.head(b"{}", "application/json")
    work.last()
    await until(lambda: inflight.ended)
    assert inflight.direct_worker == ""
    assert (await task).status_code == 200


async def test_what_was_in_vain_is_counted_by_why(front: Front, double: Double) -> None:
    double.hear_runs("w1")
    for reason, label in (("full", "full"), ("somehow", "unreadable")):
        double.beat("w1")
        double.name_direct("w1")
        await until(lambda: front.gateway.direct.choose("default", "helpdesk") == "w1", what="the name")
        task = front.ask()
        (await double.next()).refuse(reason)
        (await double.next()).answer()
        await task
        page = (await front.http.get("/metrics")).text
        assert f'llmos_gateway_direct_failed_total{{reason="{label}"}} 1.0' in page
