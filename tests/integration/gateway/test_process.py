"""The gateway as a process of its own: how it starts, refuses to start, and stops."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import msgspec

from libs.testkit.front import CHAT, CHAT_PATH, KEY, stored_events
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.ports import free_port
from libs.testkit.wait import until

COMMAND = (sys.executable, "-m", "services.gateway")


async def test_on_sigterm_it_closes_the_door_finishes_and_leaves(private_nats: NatsServer, tmp_path: Path) -> None:
    double = Double(private_nats)
    await double.start()
    port = free_port()
    keys = tmp_path / "keys"
    keys.write_text(KEY, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "GATEWAY_PORT": str(port),
        "GATEWAY_API_KEYS_FILE": str(keys),
        **private_nats.environment("GATEWAY_NATS__", "gateway"),
    }
    process = await asyncio.create_subprocess_exec(*COMMAND, env=environment, stderr=asyncio.subprocess.PIPE)
    try:
        # The first gateway beat says that it is on the bus; it then hears this one.
        await until(lambda: bool(double.gateway_beats), timeout_s=30, what="the gateway's first beat")
        double.beat()
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as http:
            await until(lambda: _listens(port))
            task = asyncio.create_task(http.post(CHAT_PATH, json=CHAT))
            work = await double.next()
            process.send_signal(signal.SIGTERM)
            await until(lambda: not _listens(port), what="the closed door")
            assert process.returncode is None
            work.answer()
            assert (await task).status_code == 200
        _, log = await asyncio.wait_for(process.communicate(), 10)
    finally:
        if process.returncode is None:
            process.kill()
        await double.stop()
    lines = [msgspec.json.decode(line) for line in log.splitlines()]
    assert all(line["service"] == "gateway" and line["timestamp"] and line["level"] for line in lines)
    events = [line["event"] for line in lines]
    assert events.index("gateway stopped") > events.index("gateway started")
    assert "request failed" not in events
    assert [event.outcome for event in await stored_events(private_nats)] == ["ok"]


def test_without_usable_keys_it_says_why_and_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    environment = {"PATH": os.environ["PATH"], "GATEWAY_API_KEYS_FILE": str(path)}
    done = subprocess.run(COMMAND, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
