"""What the scheduler costs per request: its own CPU time, beside a real nats-server.

`python -m benchmarks.scheduler_cpu [requests] [rounds]`. What is under way stays well below (`free`) or far above
(`queued`) what the workers may hold; they accept and release at once, so only the scheduler and the bus work.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec
import uvloop

from deploy.nats.provision import provision
from libs.contracts import subjects
from libs.contracts.inference import (
    ATTEMPT_HEADER,
    CONNECTION_NAME_PREFIX,
    ENVELOPE_HEADER,
    Envelope,
    Handover,
    Released,
    Running,
    ServedModel,
    ServiceClass,
    WorkerBeat,
    WorkerState,
)
from libs.kit import clock
from libs.kit.bus import BusClient, Message, encode_headers, header_value
from libs.testkit.nats_server import NatsServer

ROOT: Final = Path(__file__).resolve().parents[1]
BODY: Final = b'{"model":"m","messages":[{"role":"user","content":"%b"}],"stream":true}' % (b"x" * 400)
_ENVELOPE: Final = ENVELOPE_HEADER.encode()
_ATTEMPT: Final = ATTEMPT_HEADER.encode()
_ACCEPTED: Final = msgspec.json.encode(Handover(accepted=True))
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


class _Workers:
    """Several workers on one connection; each accepts at once and releases at the end of the tick."""

    def __init__(self, bus: BusClient, ids: tuple[str, ...], capacity: int) -> None:
        self.bus, self.ids, self.capacity = bus, ids, capacity
        self.done = 0
        self._ended: dict[str, list[Running]] = {}
        for worker in ids:
            bus.subscribe(subjects.run(worker), self._on_run)
        bus.subscribe(subjects.REPORT, lambda _: self.beat())

    def beat(self) -> None:
        for worker in self.ids:
            beat = WorkerBeat(
                worker=worker,
                name=worker,
                pool="default",
                state=WorkerState.READY,
                capacity=self.capacity,
                models=(ServedModel(name="m"),),
                engine="none",
            )
            self.bus.publish(subjects.beat(worker), msgspec.json.encode(beat))

    def _on_run(self, message: Message) -> None:
        self.bus.publish(message.reply, _ACCEPTED)
        raw = header_value(message.headers, _ENVELOPE) or b""
        start = raw.index(b'"request_id":"') + 14
        run = Running(raw[start : start + 24].decode(), int(header_value(message.headers, _ATTEMPT) or 0))
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._release)
        self._ended.setdefault(message.subject.split(".")[2], []).append(run)
        self.done += 1

    def _release(self) -> None:
        for worker, ended in self._ended.items():
            self.bus.publish(subjects.released(worker), msgspec.json.encode(Released(worker, tuple(ended))))
        self._ended.clear()


class _Load:
    """Keeps `outstanding` requests under way until `total` have been submitted."""

    def __init__(self, bus: BusClient, workers: _Workers, total: int, outstanding: int) -> None:
        self._bus, self._workers, self._total, self._outstanding = bus, workers, total, outstanding
        now_ms = clock.unix_ms()
        envelope = Envelope(
            request_id="@" * 24,
            reply=subjects.gateway_reply("g0123456789", "@" * 24),
            route="/v1/chat/completions",
            model="m",
            pool="default",
            service_class=ServiceClass.STANDARD,
            tenant="tenant-1",
            start_by_ms=now_ms + 600_000,
            deadline_ms=now_ms + 600_000,
            submitted_ms=now_ms,
            stream=True,
            max_tokens=64,
            traceparent="00-0123456789abcdef0123456789abcdef-0123456789abcdef-01",
        )
        fields = [(_ENVELOPE, msgspec.json.encode(envelope)), (b"Nats-Msg-Id", b"@" * 24 + b":0")]
        self._headers = encode_headers(fields)
        self._subject = subjects.submit("default", ServiceClass.STANDARD)

    async def run(self) -> None:
        submitted, first = 0, self._workers.done
        while (done := self._workers.done - first) < self._total:
            for _ in range(min(self._outstanding - (submitted - done), self._total - submitted)):
                headers = self._headers.replace(b"@" * 24, clock.new_request_id().encode())
                self._bus.publish(self._subject, BODY, headers=headers)
                submitted += 1
            await asyncio.sleep(0.0005)


def _cpu_s(process: int) -> tuple[float, float]:
    """Seconds that a process has computed: in its own code, and in the kernel for it."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[11]) / _TICKS_PER_S, int(fields[12]) / _TICKS_PER_S


async def _measure(server: NatsServer, scheduler: int, requests: int, rounds: int) -> None:
    worker_bus, gateway_bus = (
        BusClient(server.options("inference", f"{CONNECTION_NAME_PREFIX}b")),
        BusClient(server.options("gateway")),
    )
    await worker_bus.connect()
    await gateway_bus.connect()
    workers = _Workers(worker_bus, ("b1", "b2", "b3", "b4"), capacity=32)
    keeper = asyncio.create_task(_keep_beating(workers))
    await _Load(gateway_bus, workers, 2_000, 64).run()
    for name, outstanding in (("free", 32), ("queued", 2_000)):
        rows = []
        for _ in range(rounds):
            before, start_s = _cpu_s(scheduler), clock.monotonic_s()
            await _Load(gateway_bus, workers, requests, outstanding).run()
            after, took_s = _cpu_s(scheduler), clock.monotonic_s() - start_s
            own, kernel = ((late - early) / requests * 1e6 for late, early in zip(after, before, strict=True))
            rows.append((own + kernel, own, kernel, requests / took_s))
        total, own, kernel, rate = (statistics.median(column) for column in zip(*rows, strict=True))
        print(
            f"{name:7} {total:5.1f} µs CPU per request ({own:.1f} own, {kernel:.1f} kernel; "
            f"{min(rows)[0]:.1f} to {max(rows)[0]:.1f}), {rate:,.0f} requests/s"
        )
    keeper.cancel()
    await worker_bus.close()
    await gateway_bus.close()


async def _keep_beating(workers: _Workers) -> None:
    while True:
        workers.beat()
        await asyncio.sleep(1)


def main(requests: int = 20_000, rounds: int = 5) -> None:
    """Start the parts, measure, print."""
    with tempfile.TemporaryDirectory() as directory:
        server = NatsServer(Path(directory))
        server.start()
        asyncio.run(provision(server.settings("provisioner"), ("default",)))
        environment = {
            **os.environ,
            **server.environment("SCHEDULER_NATS__", "scheduler"),
            "SCHEDULER_LOG_LEVEL": "ERROR",
        }
        command = [*os.environ.get("SCHEDULER_WRAPPER", "").split(), sys.executable, "-m", "services.scheduler"]
        scheduler = subprocess.Popen(command, cwd=ROOT, env=environment)
        try:
            uvloop.run(_measure(server, scheduler.pid, requests, rounds))
        finally:
            scheduler.terminate()
            scheduler.wait(timeout=20)
            server.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
