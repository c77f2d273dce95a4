"""Parts die: every request is answered once all the same."""

import asyncio
import signal

import nats as nats_py

from libs.contracts.frames import make_attempt
from libs.contracts.inference import ServiceClass
from libs.contracts.topology import CMD_INFERENCE, scheduler_durable
from libs.kit import clock
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until
from tests.integration.scheduler.doubles import WorkerDouble, executions
from tests.integration.scheduler.stage import Stage, stage

_IDLE_LOOKS = 60
"""Half a second each: so long nothing more was answered, and nothing will be."""


async def _shorten_leases(server: NatsServer, ack_wait_s: float) -> None:
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    for service_class in ServiceClass:
        durable = scheduler_durable("default", service_class)
        config = (await client.jetstream().consumer_info(CMD_INFERENCE.name, durable)).config
        config.ack_wait = ack_wait_s
        await client.jetstream().add_consumer(CMD_INFERENCE.name, config)
    await client.close()


async def _pending(server: NatsServer) -> tuple[int, int]:
    """Messages in the stream, and those of them that are leased to somebody."""
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    leased = 0
    for service_class in ServiceClass:
        info = await client.jetstream().consumer_info(CMD_INFERENCE.name, scheduler_durable("default", service_class))
        leased += info.num_ack_pending or 0
    stored = (await client.jetstream().stream_info(CMD_INFERENCE.name)).state.messages
    await client.close()
    return stored, leased


async def _until_pending(server: NatsServer, stored: int, leased: int) -> None:
    for _ in range(100):
        found = await _pending(server)
        if found == (stored, leased):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"stored, leased: {found}, not {(stored, leased)}")


async def _until_stored(server: NatsServer, stored: int) -> None:
    for _ in range(100):
        found = (await _pending(server))[0]
        if found == stored:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"stored: {found}, not {stored}")


async def test_a_worker_that_never_answers_loses_the_request_to_another(nats: NatsServer) -> None:
    async with stage(nats) as on:
        deaf, other = await on.worker("w1"), await on.worker("w2")
        deaf.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=0.15)
        await on.known(dispatcher, deaf, other)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200
        assert executions([deaf, other], request_id) == [
            ("w1", make_attempt(0, 1, 1)),
            ("w2", make_attempt(0, 1, 2)),
        ]
        assert on.gateway.lost_workers == []
        more = [on.gateway.submit() for _ in range(4)]
        await until(lambda: all(map(on.gateway.ended, more)))
        assert len(deaf.seen) == 1, "it rests, so that nobody else waits for it"


async def test_a_request_that_no_worker_answers_for_is_given_up(nats: NatsServer) -> None:
    async with stage(nats) as on:
        for name in ("w1", "w2"):
            (await on.worker(name)).mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=0.1, max_doubtful=2)
        await on.known(dispatcher, *on.workers)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).meta.code == "no_worker"
        assert len(executions(on.workers, request_id)) == 2
        await _until_pending(nats, 0, 0)


async def test_an_answer_that_comes_late_still_counts(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=0.1)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit()
        await until(lambda: dispatcher.stats.unanswered == 1 and request_id in dispatcher.queue)
        worker.accept(worker.seen[0])
        await until(lambda: on.gateway.ended(request_id))
        await until(lambda: len(dispatcher.ledger) == 0)
        assert len(worker.seen) == 1
        assert dispatcher.registry.workers["w1"].strikes == 0


async def test_a_worker_cut_off_before_it_accepted_loses_the_request_to_another_which_runs_it_once(
    nats: NatsServer,
) -> None:
    async with stage(nats) as on:
        doomed, other = await on.worker("w1"), await on.worker("w2")
        doomed.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=30.0)
        await on.known(dispatcher, doomed, other)
        request_id = on.gateway.submit()
        await until(lambda: len(doomed.seen) == 1)
        cut_s = clock.monotonic_s()
        on.workers.remove(doomed)
        await doomed.cut()
        await until(lambda: on.gateway.ended(request_id))
        assert clock.monotonic_s() - cut_s < 1.5, "the server's news is enough; no beat needs to be missed"
        assert executions([doomed, other], request_id)[1:] == [("w2", make_attempt(0, 1, 2))]
        assert on.gateway.lost_workers == ["w1"]
        assert dispatcher.stats.lost == {"disconnected": 1}


async def test_without_the_system_account_silence_tells(nats: NatsServer) -> None:
    async with stage(nats) as on:
        doomed = await on.worker("w1")
        dispatcher = await on.scheduler(
            system=nats.settings("system").model_copy(update={"user": ""}), beat_timeout_s=0.6
        )
        await on.known(dispatcher, doomed)
        await on.worker("w2")
        on.workers.remove(doomed)
        await doomed.cut()
        await until(lambda: on.gateway.lost_workers == ["w1"])
        assert dispatcher.stats.lost == {"silent": 1}
        assert set(dispatcher.registry.workers) == {"w2"}


async def test_a_worker_that_is_gone_but_not_yet_missed_costs_a_request_nothing(nats: NatsServer) -> None:
    """Nobody listens on its subject any more, and the server says so at once."""
    async with stage(nats) as on:
        doomed, other = await on.worker("w1"), await on.worker("w2")
        dispatcher = await on.scheduler(
            system=nats.settings("system").model_copy(update={"user": ""}), accept_timeout_s=30.0
        )
        await on.known(dispatcher, doomed, other)
        on.workers.remove(doomed)
        await doomed.cut()
        assert "w1" in dispatcher.registry.workers
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id), timeout_s=1)
        assert executions([other], request_id) == [("w2", make_attempt(0, 1, 1))]
        await until(lambda: on.gateway.lost_workers == ["w1"])
        assert dispatcher.stats.lost == {"disconnected": 1}, "before its silence could tell"


async def test_a_worker_that_only_reconnects_is_not_lost(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler()
        await on.known(dispatcher, worker)
        assert worker.bus._transport is not None
        for reconnects in (1, 2, 3):
            worker.bus._transport.abort()
            await until(lambda reconnects=reconnects: worker.bus.reconnects == reconnects)  # type: ignore[misc]
            await until(lambda: dispatcher.registry.workers["w1"].suspected_s is None)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.lost_workers == []


async def test_a_lost_answer_is_made_good_by_the_beat(nats: NatsServer) -> None:
    async with stage(nats) as on:
        worker = await on.worker("w1")
        worker.mood, worker.finishes_at_once = "silent", False
        dispatcher = await on.scheduler(accept_timeout_s=30.0)
        await on.known(dispatcher, worker)
        request_id = on.gateway.submit()
        await until(lambda: len(worker.seen) == 1)
        worker.running[worker.seen[0].execution] = worker.seen[0]
        worker.beat()
        await until(lambda: len(dispatcher.ledger) == 0)
        assert dispatcher.stats.accepted == 1
        worker.finish(request_id)
        await until(lambda: dispatcher.registry.workers["w1"].credits == 2)


async def test_leases_are_renewed_while_requests_wait(private_nats: NatsServer) -> None:
    await _shorten_leases(private_nats, 1.0)
    async with stage(private_nats) as on:
        dispatcher = await on.scheduler(lease_s=1.0)
        requests = [on.gateway.submit() for _ in range(200)]
        await until(lambda: len(dispatcher.queue) == 200)
        until_s = clock.monotonic_s() + 2.5
        await until(lambda: clock.monotonic_s() > until_s)
        assert dispatcher.stats.redelivered == 0
        await on.worker("w1", capacity=50)
        await until(lambda: all(map(on.gateway.ended, requests)))
        assert dispatcher.stats.pulled == 200


async def test_a_message_that_comes_back_while_it_is_held_is_not_run_twice(private_nats: NatsServer) -> None:
    await _shorten_leases(private_nats, 0.3)
    async with stage(private_nats) as on:
        dispatcher = await on.scheduler(lease_s=60.0)
        request_id = on.gateway.submit()
        await until(lambda: dispatcher.stats.redelivered >= 2)
        assert dispatcher.stats.repeated >= 2
        assert len(dispatcher.queue) == 1
        worker = await on.worker("w1")
        await until(lambda: on.gateway.ended(request_id))
        assert len(executions([worker], request_id)) == 1
        await _until_pending(private_nats, 0, 0)


async def test_a_killed_schedulers_requests_are_answered_once_by_the_next(private_nats: NatsServer) -> None:
    await _shorten_leases(private_nats, 1.0)
    async with stage(private_nats) as on:
        first = on.scheduler_process(SCHEDULER_LEASE_S="1.0")
        requests = [on.gateway.submit() for _ in range(50)]
        await _until_pending(private_nats, 50, 50)
        first.kill()
        dispatcher = await on.scheduler(lease_s=1.0)
        worker = await on.worker("w1", capacity=8)
        await until(lambda: all(map(on.gateway.ended, requests)))
        for request_id in requests:
            assert on.gateway.end(request_id).status == 200
            assert executions([worker], request_id) == [("w1", make_attempt(0, 2, 1))]
        assert dispatcher.stats.redelivered == 50


async def test_sigterm_hands_everything_back_at_once(private_nats: NatsServer) -> None:
    """Leases last ten seconds here: only a hand-back lets the next scheduler have the requests sooner."""
    async with stage(private_nats) as on:
        first = on.scheduler_process()
        requests = [on.gateway.submit() for _ in range(50)]
        await _until_pending(private_nats, 50, 50)
        first.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(first.wait, 5) == 0
        stopped_s = clock.monotonic_s()
        worker = await on.worker("w1", capacity=8)
        await on.scheduler()
        await until(lambda: all(map(on.gateway.ended, requests)))
        assert clock.monotonic_s() - stopped_s < 5
        for request_id in requests:
            assert on.gateway.end(request_id).status == 200
            assert executions([worker], request_id) == [("w1", make_attempt(0, 2, 1))]


async def test_a_stop_waits_for_answers_and_hands_back_what_is_unanswered(private_nats: NatsServer) -> None:
    async with stage(private_nats) as on:
        worker = await on.worker("w1", capacity=2)
        worker.mood = "silent"
        dispatcher = await on.scheduler(accept_timeout_s=0.4)
        await on.known(dispatcher, worker)
        answered, unanswered = on.gateway.submit(), on.gateway.submit()
        await until(lambda: len(worker.seen) == 2)
        stopping = asyncio.create_task(on.schedulers.pop().stop())
        await until(lambda: dispatcher.matcher.stopping)
        worker.accept(next(run for run in worker.seen if run.envelope.request_id == answered))
        await stopping
        worker.mood = "accept"
        await on.scheduler()
        await until(lambda: on.gateway.ended(answered) and on.gateway.ended(unanswered))
        assert len(executions([worker], answered)) == 1
        assert executions([worker], unanswered) == [("w1", make_attempt(0, 1, 1)), ("w1", make_attempt(0, 2, 1))]
        await _until_pending(private_nats, 0, 0)


async def test_after_an_outage_longer_than_their_beats_workers_have_their_full_time_again(
    private_nats: NatsServer,
) -> None:
    async with stage(private_nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler(beat_timeout_s=1.0)
        await on.known(dispatcher, worker)
        await asyncio.to_thread(private_nats.kill)
        worker.beating = False
        away_until_s = clock.monotonic_s() + 1.5
        await until(lambda: clock.monotonic_s() > away_until_s)
        await asyncio.to_thread(private_nats.start)
        await until(lambda: dispatcher.matcher.open)
        quiet_until_s = clock.monotonic_s() + 0.5
        await until(lambda: clock.monotonic_s() > quiet_until_s)
        assert "w1" in dispatcher.registry.workers
        worker.beating = True
        await until(lambda: on.gateway.bus.connected and worker.bus.connected)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.lost_workers == []


async def _keep_submitting(on: Stage, requests: list[str], stop: asyncio.Event) -> None:
    while not stop.is_set():
        requests += [on.gateway.submit() for _ in range(5)]
        await asyncio.sleep(0.01)


async def test_the_server_is_killed_under_load_and_nothing_is_lost_or_answered_twice(private_nats: NatsServer) -> None:
    await _shorten_leases(private_nats, 1.0)
    async with stage(private_nats, repairs=True) as on:
        workers: list[WorkerDouble] = [await on.worker(name, capacity=8) for name in ("w1", "w2")]
        dispatcher = await on.scheduler(lease_s=1.0)
        await on.known(dispatcher, *workers)
        requests: list[str] = []
        stop = asyncio.Event()
        load = asyncio.create_task(_keep_submitting(on, requests, stop))
        for kills in (1, 2, 3):
            served = dispatcher.stats.accepted
            await until(lambda served=served: dispatcher.stats.accepted > served + 100)  # type: ignore[misc]
            await asyncio.to_thread(private_nats.kill)
            await until(lambda: not on.gateway.bus.connected)
            await asyncio.to_thread(private_nats.start)
            await until(lambda kills=kills: all(one.bus.reconnects == kills for one in workers))  # type: ignore[misc]
            on.gateway.submit_again_what_was_not_stored(0.5)
        stop.set()
        await load
        done, idle = 0, 0
        while done < len(requests) and idle < _IDLE_LOOKS:
            before, done = done, sum(map(on.gateway.ended, requests))
            idle = 0 if done > before else idle + 1
            await asyncio.sleep(0.5)
            on.gateway.submit_again_what_was_not_stored(0.5)
            await on.gateway.submit_again_what_left_the_stream()
        unanswered = [request_id for request_id in requests if not on.gateway.ended(request_id)]
        assert unanswered == [], f"{done} of {len(requests)}: {on.gateway.histories[unanswered[0]]}"
        for request_id in requests:
            assert on.gateway.end(request_id).status == 200
        assert on.gateway.lost_workers == [], "it was the server that was away, not the workers"
        await until(lambda: all(worker.credits == 8 for worker in dispatcher.registry.workers.values()))
        # Acknowledgements that died with the server show as repeats, which are acknowledged again and not run.
        await _until_stored(private_nats, 0)
        ran = [(run.envelope.request_id, run.envelope.retry) for worker in workers for run in worker.seen]
        assert len(ran) - len(set(ran)) <= dispatcher.stats.unanswered + dispatcher.stats.refused.total()
