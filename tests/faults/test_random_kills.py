"""A minute of load while parts of the platform are killed at random; a client-side history is the judge.

Not part of the everyday suite: `./llmos test faults`. The seed is printed; `LLMOS_FAULTS_SEED` repeats one.
"""

import asyncio
import json
import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx2
import pytest

from deploy.nats.provision import provision
from libs.testkit.front import stored_events
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import Platform

DURATION_S: Final = 60.0
CLIENTS: Final = 24
WORKERS: Final = 3
PROMPTS: Final = [f"What does item {number} cost?" for number in range(12)]
ALLOWED_ERRORS: Final = {
    "worker_lost",
    "frames_lost",
    "bus_unavailable",
    "no_worker",
    "queue_timeout",
    "queue_full",
    "request_quarantined",
    "shutting_down",
}


@dataclass
class History:
    """What the clients saw."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    """Connections that broke: only a killed gateway may cause these."""
    ways: Counter[str] = field(default_factory=Counter)
    """How requests were put on the bus: directly, by a scheduler, into the stream."""


def _body(prompt: str, *, stream: bool, user: str) -> dict[str, object]:
    messages = [{"role": "user", "content": prompt}]
    return {"model": "helpdesk", "messages": messages, "max_tokens": 24, "stream": stream, "user": user}


async def _streamed(client: httpx2.AsyncClient, body: dict[str, object]) -> tuple[str, str]:
    """The text and the error code of a streamed answer; exactly one of them is set, or the stream was false."""
    parts: list[str] = []
    done = False
    async with client.stream("POST", "/v1/chat/completions", json=body) as response:
        if response.status_code != 200:
            return "", str(json.loads(await response.aread())["error"]["code"])
        async for line in response.aiter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                done = True
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                return "", str(event["error"]["code"])
            parts += [choice["delta"].get("content") or "" for choice in event["choices"]]
    return ("".join(parts), "") if done else ("", "ended without [DONE]")


async def _whole(client: httpx2.AsyncClient, body: dict[str, object]) -> tuple[str, str]:
    response = await client.post("/v1/chat/completions", json=body)
    if response.status_code != 200:
        return "", str(response.json()["error"]["code"])
    return str(response.json()["choices"][0]["message"]["content"]), ""


async def _client(platform: Platform, expected: dict[str, str], history: History, rng: random.Random) -> None:
    headers = {"authorization": f"Bearer {platform.api_key}"}
    end = asyncio.get_running_loop().time() + DURATION_S
    async with httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=90) as client:
        while asyncio.get_running_loop().time() < end:
            prompt, stream = rng.choice(PROMPTS), rng.random() < 0.5
            try:
                call = _streamed if stream else _whole
                text, code = await call(client, _body(prompt, stream=stream, user=rng.choice(["", "pace-10ms"])))
            except httpx2.HTTPError:
                history.cut += 1
                await asyncio.sleep(0.1)
                continue
            if code:
                history.errors[code] += 1
                await asyncio.sleep(0.1)
            elif text == expected[prompt]:
                history.right += 1
            else:
                history.wrong.append(f"{prompt}: {text!r}")


async def _count_ways(platform: Platform, history: History) -> None:
    """Add what the gateway that lives now has counted."""
    try:
        async with httpx2.AsyncClient(base_url=platform.url, timeout=5) as client:
            page = (await client.get("/metrics")).text
    except httpx2.HTTPError:
        return
    for way, count in re.findall(r'^llmos_gateway_submissions_total\{way="(\w+)"\} (\S+)$', page, re.MULTILINE):
        history.ways[way] += int(float(count))


async def _killer(platform: Platform, rng: random.Random, history: History) -> Counter[str]:
    """Kill a part every one to four seconds and start it again."""
    killed: Counter[str] = Counter()
    end = asyncio.get_running_loop().time() + DURATION_S - 5
    while asyncio.get_running_loop().time() < end:
        await asyncio.sleep(rng.uniform(1, 4))
        part = rng.choice(["worker-0", "worker-1", "worker-2", "scheduler", "nats", "gateway"])
        killed[part] += 1
        if part == "nats":
            platform.nats.kill()
            platform.nats.start()
        else:
            if part == "gateway":
                await _count_ways(platform, history)
            platform.kill(part)
            platform.start(part)
    return killed


@pytest.mark.slow
async def test_random_kills_falsify_no_answer_and_double_none(tmp_path: Path) -> None:
    seed = int(os.environ.get("LLMOS_FAULTS_SEED", "20261122"))
    server = NatsServer(tmp_path)
    server.start()
    await provision(server.settings("provisioner"), ("default",))
    history = History()
    # Room for all while all workers live, so that requests go directly then, and wait while one is away.
    room = {"INFERENCE_CAPACITY": str(CLIENTS // WORKERS)}
    with Platform(tmp_path / "path", server, workers=WORKERS, environment=room) as platform:
        headers = {"authorization": f"Bearer {platform.api_key}"}
        async with httpx2.AsyncClient(base_url=platform.url, headers=headers) as client:
            expected = {prompt: (await _whole(client, _body(prompt, stream=False, user="")))[0] for prompt in PROMPTS}
        killer = asyncio.create_task(_killer(platform, random.Random(seed), history))
        await asyncio.gather(*(_client(platform, expected, history, random.Random(seed + n)) for n in range(CLIENTS)))
        killed = await killer
        await asyncio.to_thread(platform.wait_ready)
        # From the stream: who only listens hears an event again whose acknowledgement died with the server.
        await _count_ways(platform, history)
        ids = Counter(done.request_id for done in await stored_events(server))
        print(f"seed {seed}, killed {dict(killed)}: {history.right} right, {dict(history.errors)}, {history.cut} cut")
        print(dict(history.ways))
    server.stop()
    assert not history.wrong
    assert history.right > 200
    assert set(history.errors) <= ALLOWED_ERRORS
    assert all(history.ways[way] > 0 for way in ("direct", "express", "stored")), history.ways
    assert max(ids.values()) == 1, "a request was announced as completed twice"
