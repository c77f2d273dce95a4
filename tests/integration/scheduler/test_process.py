"""The scheduler as a process: its settings, several pools, its metrics, and how it stands being frozen."""

import asyncio
import signal
import subprocess
import sys
import urllib.request

import pytest

from deploy.nats.provision import provision
from libs.kit import clock
from libs.kit.process import BAD_SETTINGS
from libs.testkit.nats_server import NatsServer
from libs.testkit.ports import free_port
from libs.testkit.wait import until
from tests.integration.scheduler.stage import ROOT, stage


def _page(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def _value(page: str, series: str) -> float:
    return next((float(line.split()[-1]) for line in page.splitlines() if line.startswith(series)), -1.0)


async def test_one_process_serves_several_pools_and_counts_each(private_nats: NatsServer) -> None:
    await provision(private_nats.settings("provisioner"), ("default", "second"))
    port = free_port()
    async with stage(private_nats) as on:
        on.scheduler_process(SCHEDULER_POOLS='["default", "second"]', SCHEDULER_METRICS_PORT=str(port))
        workers = {pool: await on.worker(f"w-{pool}", pool=pool) for pool in ("default", "second")}
        requests = {pool: [on.gateway.submit(pool=pool) for _ in range(20)] for pool in workers}
        waiting = on.gateway.submit(model="nobody serves this", pool="second")
        await until(lambda: all(on.gateway.ended(one) for some in requests.values() for one in some), timeout_s=20)
        for pool, worker in workers.items():
            assert sorted(run.envelope.request_id for run in worker.seen) == sorted(requests[pool])

        await until(lambda: _value(_page(port), 'llmos_scheduler_credits{pool="default"}') == 2.0)
        page = await asyncio.to_thread(_page, port)
        assert _value(page, 'llmos_scheduler_accepted_total{pool="default"}') == 20.0
        assert _value(page, 'llmos_scheduler_queue_depth{pool="second",service_class="standard"}') == 1.0
        assert _value(page, 'llmos_scheduler_held{pool="second"}') == 1.0
        assert _value(page, 'llmos_scheduler_wait_ms_bucket{le="+Inf",pool="second"}') == 20.0
        assert _value(page, 'llmos_scheduler_workers{pool="second",state="ready"}') == 1.0
        on.gateway.cancel(waiting)
        await until(lambda: on.gateway.ended(waiting))


async def test_a_scheduler_survives_a_bus_that_is_away_when_it_starts(private_nats: NatsServer) -> None:
    async with stage(private_nats) as on:
        worker = await on.worker("w1")
        await asyncio.to_thread(private_nats.stop)
        process = on.scheduler_process()
        await until(lambda: on.said("scheduler started"))
        await asyncio.to_thread(private_nats.start)
        await until(lambda: worker.bus.connected and on.gateway.bus.connected)
        request_id = on.gateway.submit()
        await until(lambda: on.gateway.ended(request_id), timeout_s=20)
        assert process.poll() is None


async def test_a_frozen_scheduler_does_not_take_its_workers_for_dead(private_nats: NatsServer) -> None:
    async with stage(private_nats) as on:
        process = on.scheduler_process(SCHEDULER_BEAT_TIMEOUT_S="0.7")
        worker = await on.worker("w1")
        first = on.gateway.submit()
        await until(lambda: on.gateway.ended(first), timeout_s=20)
        process.send_signal(signal.SIGSTOP)
        frozen_until_s = clock.monotonic_s() + 2.0
        second = on.gateway.submit()
        await until(lambda: clock.monotonic_s() > frozen_until_s)
        process.send_signal(signal.SIGCONT)
        await until(lambda: on.gateway.ended(second))
        assert on.gateway.lost_workers == []
        assert len(worker.seen) == 2


async def test_a_frozen_bus_does_not_make_workers_dead(private_nats: NatsServer) -> None:
    assert private_nats._process is not None
    async with stage(private_nats) as on:
        worker = await on.worker("w1")
        dispatcher = await on.scheduler(beat_timeout_s=0.7, accept_timeout_s=0.2, max_doubtful=1)
        await on.known(dispatcher, worker)
        private_nats._process.send_signal(signal.SIGSTOP)
        frozen_until_s = clock.monotonic_s() + 2.0
        request_id = on.gateway.submit()
        await until(lambda: clock.monotonic_s() > frozen_until_s)
        assert dispatcher.registry.workers["w1"].suspected_s is not None
        private_nats._process.send_signal(signal.SIGCONT)
        await until(lambda: on.gateway.ended(request_id))
        assert on.gateway.end(request_id).status == 200
        assert on.gateway.lost_workers == []
        assert dispatcher.stats.unanswered == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCHEDULER_POOLS", "[]"),
        ("SCHEDULER_POOLS", '["a.b"]'),
        ("SCHEDULER_ACCEPT_TIMEOUT_S", "0"),
        ("SCHEDULER_LOG_LEVEL", "info"),
    ],
)
async def test_settings_that_make_no_sense_are_refused(name: str, value: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.scheduler"],
        cwd=ROOT,
        env={name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == BAD_SETTINGS
    assert done.stderr.startswith(f"scheduler: {name}")
