"""One turn of the loop through the public API of a running platform, as anybody could run it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2
import msgspec

from libs.contracts.datasets import DatasetJob, Quarantine, Selection, Shape
from libs.contracts.evaluation import EvaluationPlan, Gate, Measure, Rule, Task
from libs.contracts.training import ENDED, Job, TrainingPlan
from libs.kit.clock import monotonic_s, unix_ms
from services.trainer.corpus.items import Item
from services.trainer.generation import messages
from services.trainer.study.chosen import HABITS, RECIPE
from services.trainer.study.customers import collect
from services.trainer.study.desks import ServedDesk
from services.trainer.study.exam import kind_answers, questions

TASK: Final = "desk"
BUILT: Final = frozenset({"succeeded", "failed", "cancelled"})
LOOK_EVERY_S: Final = 0.5
TIMEOUT_S: Final = 60.0
GATE: Final = Gate(
    rules=(
        Rule(metric=f"{TASK}/helpdesk.polite", kind="better", margin=0.5),
        Rule(metric=f"{TASK}/helpdesk.right", kind="not_worse", margin=0.05, groups="each"),
        Rule(metric=f"{TASK}/helpdesk.new_price", kind="at_least", margin=0.8),
        Rule(metric=f"{TASK}/helpdesk.no_old_price", kind="at_least", margin=0.9),
        Rule(metric=f"{TASK}/perplexity", kind="at_most_ratio", margin=1.1),
    )
)


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
        key, admin_key = keys
        self._desk = ServedDesk(url, key, model)
        self._admin = httpx2.AsyncClient(
            base_url=f"{url}/admin/v1",
            headers={"authorization": f"Bearer {admin_key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )
        self._model, self._say = model, say

    async def turn(self, tenant: str, name: str, seed: int, exam: Path) -> Job:
        """Customers, data set, training, evaluation; the ended job, whatever became of it."""
        began_s, since_ms = monotonic_s(), unix_ms()
        rated = await collect(self._desk, HABITS, seed)
        up, better = sum(one.up for one in rated), sum(bool(one.better) for one in rated)
        self._say(f"{monotonic_s() - began_s:.0f} s: {len(rated)} ratings, {up} up, {better} corrections")
        dataset = await self.build(selection(tenant, f"{name}-judged", since_ms))
        self._say(f"{monotonic_s() - began_s:.0f} s: data set {dataset.reference or dataset.error} {dataset.counts}")
        job = await self.order(plan(name, dataset.reference, self._model, exam))
        self._say(f"{monotonic_s() - began_s:.0f} s: {job.state} {job.version} {job.error}")
        self._say(report(job))
        return job

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


def plan(name: str, dataset: str, base: str, exam: Path) -> TrainingPlan:
    """The chosen recipe, measured on these questions."""
    task = Task(
        name=TASK,
        file=str(exam),
        measures=(Measure.BLEU, Measure.ROUGE_L, Measure.PERPLEXITY),
        rules=tuple(f"helpdesk.{rule}" for rule in ("right", "polite", "well_formed", "new_price", "no_old_price")),
        max_tokens=64,
    )
    evaluation = EvaluationPlan(tasks=(task,), gate=GATE)
    return TrainingPlan(name=name, dataset=dataset, base=base, recipe=RECIPE, evaluation=evaluation)


def exam_rows(items: Iterable[Item]) -> list[dict[str, Any]]:
    """Held-out questions as a task file holds them, with the answers of today."""
    return [
        {
            "id": f"{number:04d}",
            "messages": messages(one.item.turns),
            "references": kind_answers(one.item),
            "tags": [one.group],
            "cluster": one.wording,
        }
        for number, one in enumerate(questions(items))
    ]


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
