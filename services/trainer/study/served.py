"""One turn of the loop through the public API of a running platform, as anybody could run it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec
from openai import AsyncOpenAI

from libs.contracts.datasets import DatasetJob, Quarantine, Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Measure, Task
from libs.contracts.training import ENDED, Job, JobState, Recipe, TrainingPlan
from libs.contracts.versions import parse_reference, short_reference
from libs.kit.clock import monotonic_s, unix_ms
from services.trainer.study.chosen import EARLY, HABITS, RECIPE
from services.trainer.study.customers import collect
from services.trainer.study.gate import GATE, JUDGE, RULES, SAMPLES, TASK
from services.trainer.study.loop import NEXT_ROUND
from services.trainer.study.served_desk import MAX_TOKENS, ServedDesk

BUILT: Final = frozenset({"succeeded", "failed", "cancelled"})
LOOK_EVERY_S: Final = 0.5
TIMEOUT_S: Final = 60.0
EARLY_ALIAS: Final = "early"


class RoundFailedError(Exception):
    """An early round of the loop came to nothing."""


class Served:
    """A running platform: customers ask it, it learns from them, and its report is shown."""

    def __init__(self, url: str, keys: tuple[str, str], model: str, say: Callable[[str], None]) -> None:
        """Prepare.

        Args:
            url: the gateway's root, without `/v1`.
            keys: an ordinary API key and an administrator's.
            model: the name that is served and improved.
            say: takes lines for people.
        """
        self._key, admin_key = keys
        self._url, self._began_s = url, monotonic_s()
        self._openai = AsyncOpenAI(base_url=f"{url}/v1", api_key=self._key)
        self._admin = httpx2.AsyncClient(
            base_url=f"{url}/admin/v1",
            headers={"authorization": f"Bearer {admin_key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self._model, self._say = model, say

    async def turn(self, tenant: str, name: str, seed: int, exam: Path) -> Job:
        """Customers, data set, training, round after round, the last one measured; the last job, whatever it became.

        Raises:
            RoundFailedError: a round but the last made no version, so that there is nothing to go on with.
        """
        since_ms, model = unix_ms(), self._model
        for number, one in enumerate(EARLY):
            made = plan(name, recipe=msgspec.structs.replace(RECIPE, seed=seed, steps=one.steps))
            job = await self._round(model, made, (tenant, since_ms), (one.ratings, seed + number * NEXT_ROUND))
            if job.state is not JobState.SUCCEEDED:
                raise RoundFailedError(f"Round {number} is {job.state}: {job.error}")
            model = await self.serve(job.version)
        made = plan(name, recipe=msgspec.structs.replace(RECIPE, seed=seed), evaluation=evaluation(exam))
        last = (HABITS.ratings, seed + len(EARLY) * NEXT_ROUND)
        job = await self._round(model, made, (tenant, since_ms), last)
        self._tell(f"{job.state} {job.version} {job.error}")
        self._say(report(job))
        return job

    async def _round(self, model: str, wanted: TrainingPlan, told: tuple[str, int], asked: tuple[int, int]) -> Job:
        (tenant, since_ms), (ratings, seed) = told, asked
        desk = ServedDesk(self._url, self._key, model)
        try:
            rated = await collect(desk, replace(HABITS, ratings=ratings), seed)
        finally:
            await desk.close()
        up, better = sum(one.up for one in rated), sum(bool(one.better) for one in rated)
        again = f"{desk.troubles.lost} requests got no answer and were sent again"
        self._tell(f"{model}: {len(rated)} ratings, {up} up, {better} corrections; {again}")
        dataset = await self.build(selection(tenant, f"{wanted.name}-judged", since_ms))
        self._tell(f"data set {dataset.reference or dataset.error} {dataset.counts}")
        made = msgspec.structs.replace(wanted, dataset=dataset.reference, base=self._model)
        return await self.order(made)

    async def serve(self, version: str) -> str:
        """Has the pool load this version; the name under which it answers.

        Raises:
            RoundFailedError: no worker does in time.
        """
        parsed = parse_reference(version)
        name = short_reference(parsed.name, parsed.digest)
        await self._call("PUT", f"/models/{parsed.name}/aliases/{EARLY_ALIAS}", {"target": version})
        give_up_s = monotonic_s() + TIMEOUT_S
        while not await self._is_served(name):
            if monotonic_s() > give_up_s:
                raise RoundFailedError(f"Nobody answers as {name} after {TIMEOUT_S:g} s.")
            await asyncio.sleep(LOOK_EVERY_S)
        self._tell(f"served as {name}")
        return name

    async def _is_served(self, name: str) -> bool:
        return name in [one.id async for one in self._openai.models.list()]

    async def build(self, wanted: Selection) -> DatasetJob:
        """The data set, built."""
        ordered = await self._call("POST", "/datasets", {"selection": msgspec.to_builtins(wanted)})
        job = msgspec.convert(ordered, DatasetJob)
        while job.state not in BUILT:
            await asyncio.sleep(LOOK_EVERY_S)
            job = msgspec.convert(await self._call("GET", f"/datasets/{job.id}"), DatasetJob)
        return job

    async def order(self, wanted: TrainingPlan) -> Job:
        """The training with its evaluation, ended."""
        ordered = await self._call("POST", "/trainings", {"plan": msgspec.to_builtins(wanted)})
        job = msgspec.convert(ordered, Job)
        while job.state not in ENDED:
            await asyncio.sleep(LOOK_EVERY_S)
            job = msgspec.convert(await self._call("GET", f"/jobs/{job.id}"), Job)
        return job

    def _tell(self, text: str) -> None:
        self._say(f"{monotonic_s() - self._began_s:5.0f} s  {text}")

    async def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        answer = await self._admin.request(method, path, json=body)
        if answer.is_error:
            self._say(answer.text)
        answer.raise_for_status()
        return answer.json()


def selection(tenant: str, name: str, since_ms: int) -> Selection:
    """All that customers said since then; the desk's answers are alike by nature, so only equal rows count once."""
    return Selection(
        name=name,
        shape=Shape.SFT,
        tenant=tenant,
        since_ms=since_ms,
        near_duplicates=0.0,
        redact=False,
        splits={"train": 1.0},
        quarantine=Quarantine(enabled=False),
    )


def plan(name: str, recipe: Recipe = RECIPE, evaluation: EvaluationPlan | None = None) -> TrainingPlan:
    """What is to be made; its data set and base are filled in when they are there."""
    return TrainingPlan(name=name, dataset="", recipe=recipe, evaluation=evaluation)


def evaluation(exam: Path) -> EvaluationPlan:
    """The questions of that file, and what an improved desk must be."""
    task = Task(
        name=TASK,
        file=str(exam),
        measures=(Measure.BLEU, Measure.ROUGE_L, Measure.PERPLEXITY),
        rules=(*RULES, "helpdesk.no_old_price"),
        max_tokens=MAX_TOKENS,
    )
    return EvaluationPlan(tasks=(task,), samples=SAMPLES, judge=JUDGE, gate=GATE)


def report(job: Job) -> str:
    """What the evaluation found, as a Markdown table."""
    if job.verdict is None:
        return "There is no verdict."
    lines = ["| metric | group | T | before | after | change | passed |", "|---|---|---|---|---|---|---|"]
    for one in job.verdict.findings:
        numbers = [_shown(one.baseline), _shown(one.candidate), f"{_shown(one.low)} to {_shown(one.high)}"]
        passed = "yes" if one.passed else f"no: {one.reason}"
        lines.append(f"| {one.metric} | {one.group or 'all'} | {one.temperature} | {' | '.join(numbers)} | {passed} |")
    return "\n".join([f"{job.verdict.outcome}: {job.verdict.reason}", *lines])


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:.3f}"
