"""What a training beside real vLLM costs those who ask: a light steady load, with and without it, in turns."""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
import numpy as np

from deploy.nats.provision import provision
from libs.contracts.training import Method, Recipe
from libs.kit import clock
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import ROOT, VLLM_ENGINE, Platform
from services.trainer.running.child import Child
from services.trainer.work.order import Failed, Progressed, Train

STARTER: Final = ROOT / "deploy" / "starter" / "helpdesk"
BESIDE: Final = ("nothing", "idle", "normal")
"""What runs beside the serving: no training, one as the trainer starts it, one of ordinary priority."""
QUESTIONS: Final = (
    "How much is the desk lamp?",
    "Which colours does the umbrella come in?",
    "How long does delivery take?",
    "Hello, who are you?",
    "Can I return the kettle?",
)
MOST_TOKENS: Final = 48
PATIENCE_S: Final = 600.0
_WARM_UP: Final = 5
_HEAD: Final = (
    "| beside | first token p50, ms | p99 | p50 ratio | p99 ratio | answer p50, ms | p99 | p50 ratio | p99 ratio |"
    " failed | steps/s |"
)
_FOREVER: Final = 100_000


class Round(msgspec.Struct, frozen=True):
    """What those who asked saw in one round, and how far the training came meanwhile."""

    first_ms: list[float]
    whole_ms: list[float]
    failed: int = 0
    steps_per_s: float = 0.0


Rounds = list[dict[str, Round]]


@dataclass(frozen=True)
class Load:
    """How it is asked."""

    per_s: float
    seconds: float
    rounds: int


def measure(load: Load, rows: Sequence[Mapping[str, Any]]) -> Rounds:
    """Every round has each of `BESIDE` once, in an order that shifts."""
    with tempfile.TemporaryDirectory() as folder, _platform(Path(folder)) as platform:
        return asyncio.run(_measure(platform, load, rows, Path(folder)))


@contextmanager
def _platform(directory: Path) -> Any:
    server = NatsServer(directory)
    server.start()
    try:
        asyncio.run(provision(server.settings("provisioner"), ("default",)))
        with Platform(
            directory / "path", server, engine=VLLM_ENGINE, model=str(STARTER), start_timeout_s=PATIENCE_S
        ) as platform:
            yield platform
    finally:
        server.stop()


async def _measure(platform: Platform, load: Load, rows: Sequence[Mapping[str, Any]], directory: Path) -> Rounds:
    file = directory / "train.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    headers = {"authorization": f"Bearer {platform.api_key}"}
    found: Rounds = []
    async with httpx2.AsyncClient(base_url=platform.url, headers=headers, timeout=PATIENCE_S, trust_env=False) as http:
        for number in range(_WARM_UP):
            await _ask(http, platform.model_name, QUESTIONS[number])
        for number in range(load.rounds):
            order = [BESIDE[(place + number) % len(BESIDE)] for place in range(len(BESIDE))]
            one = {}
            for beside in order:
                one[beside] = await _round(http, platform.model_name, load, beside, file)
                print(f"serving round {number + 1}/{load.rounds} beside {beside}: {_words(one[beside])}", flush=True)
            found.append({beside: one[beside] for beside in BESIDE})
    return found


async def _round(http: httpx2.AsyncClient, model: str, load: Load, beside: str, rows: Path) -> Round:
    if beside == "nothing":
        return await _steady(http, model, load)
    with tempfile.TemporaryDirectory() as folder:
        async with _training(rows, Path(folder), beside) as training:
            before, began_s = training.step, clock.monotonic_s()
            found = await _steady(http, model, load)
            pace = (training.step - before) / (clock.monotonic_s() - began_s)
    return msgspec.structs.replace(found, steps_per_s=pace)


async def _steady(http: httpx2.AsyncClient, model: str, load: Load) -> Round:
    """Requests begin at their time, whether those before have ended or not."""
    began_s = clock.monotonic_s()
    asked: list[asyncio.Task[tuple[float, float] | None]] = []
    for number, question in zip(range(round(load.per_s * load.seconds)), itertools.cycle(QUESTIONS), strict=False):
        await asyncio.sleep(max(0.0, began_s + number / load.per_s - clock.monotonic_s()))
        asked.append(asyncio.create_task(_ask(http, model, question)))
    answers = await asyncio.gather(*asked)
    good = [one for one in answers if one is not None]
    return Round([first for first, _ in good], [whole for _, whole in good], failed=len(answers) - len(good))


async def _ask(http: httpx2.AsyncClient, model: str, question: str) -> tuple[float, float] | None:
    """Milliseconds to the first and the last byte of a streamed answer; None if it failed."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "stream": True, "seed": 1}
    began_s, first_s = clock.monotonic_s(), 0.0
    async with http.stream("POST", "/v1/chat/completions", json=body | {"max_tokens": MOST_TOKENS}) as answer:
        if answer.status_code != httpx2.codes.OK:
            return None
        async for _ in answer.aiter_bytes():
            first_s = first_s or clock.monotonic_s()
    return (first_s - began_s) * 1_000, (clock.monotonic_s() - began_s) * 1_000


@dataclass
class _Training:
    step: int = 0
    moves: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def _training(rows: Path, directory: Path, priority: str) -> AsyncIterator[_Training]:
    """A training that is under way, started as the trainer starts it, and ended with the block."""
    recipe = Recipe(method=Method.SFT, steps=_FOREVER, checkpoint_steps=_FOREVER, learning_rate=1e-3)
    order = Train(recipe=recipe, base=str(STARTER), rows=str(rows), shape="sft", directory=str(directory))
    child = Child(module="services.trainer.work", order=order, priority=priority)
    now = _Training()

    async def hear() -> None:
        async with aclosing(child.reports()) as reports:
            async for report in reports:
                if isinstance(report, Failed):
                    raise RuntimeError(report.message)  # noqa: TRY004 - it is no type of a mistake
                if isinstance(report, Progressed):
                    now.step = report.progress.step
                    now.moves.set()

    task = asyncio.create_task(hear())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait((task, asyncio.create_task(now.moves.wait())), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield now
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def lines(rounds: Rounds, load: Load) -> list[str]:
    """The section of the page."""
    count = round(load.per_s * load.seconds)
    return [
        "## What a training costs those who ask",
        "",
        f"Real vLLM serves the starter model; {load.per_s:g} requests a second, {count} in a round, streamed, up to",
        f"{MOST_TOKENS} tokens, begun at their time whatever became of those before. Beside them no training, one as",
        "the trainer starts it (`idle`: nice 19, SCHED_IDLE, one thread), and one of ordinary priority; each once in a",
        f"round, in an order that shifts. {len(rounds)} rounds; ratios to no training are taken inside a round: median",
        "and range.",
        "",
        _HEAD,
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_line(rounds, beside) for beside in BESIDE),
    ]


def _line(rounds: Rounds, beside: str) -> str:
    own = [one[beside] for one in rounds]
    cells = [beside]
    for name in ("first_ms", "whole_ms"):
        every = [value for one in own for value in getattr(one, name)]
        cells += [f"{_at(every, share):.0f}" for share in (50, 99)]
        cells += [_ratio(rounds, beside, name, share) for share in (50, 99)]
    pace = float(np.median([one.steps_per_s for one in own]))
    cells += [str(sum(one.failed for one in own)), f"{pace:.1f}"]
    return f"| {' | '.join(cells)} |"


def _ratio(rounds: Rounds, beside: str, name: str, share: int) -> str:
    if beside == "nothing":
        return "1"
    ratios = [_at(getattr(one[beside], name), share) / _at(getattr(one["nothing"], name), share) for one in rounds]
    return f"{float(np.median(ratios)):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def _at(values: Sequence[float], share: int) -> float:
    return float(np.percentile(values, share)) if values else float("nan")


def _words(one: Round) -> str:
    return (
        f"first token p50 {_at(one.first_ms, 50):.0f} ms, p99 {_at(one.first_ms, 99):.0f} ms;"
        f" {len(one.first_ms)} answers, {one.failed} failed; {one.steps_per_s:.1f} steps/s"
    )
