"""Carries out an order to evaluate: reads, leaves out what training saw, asks, has judged, writes the report."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.evaluation import EvaluationReport, Measure, Task
from libs.contracts.training import JobProgress
from libs.kit import clock
from services.trainer.evaluation.answers import Answer, Answers, Journal, Key, Side, key_of
from services.trainer.evaluation.asking import Asker, Question, Served, questions
from services.trainer.evaluation.assess import Material, assess
from services.trainer.evaluation.items import Item, TaskItems, digest, read_items, sample
from services.trainer.evaluation.judging import Outcomes
from services.trainer.evaluation.jury import Jury
from services.trainer.evaluation.leaks import unseen
from services.trainer.evaluation.plans import check_plan, completed
from services.trainer.evaluation.report import write_report
from services.trainer.evaluation.scores import Scores
from services.trainer.work.order import Done, Evaluate, Progressed, Report, Said, Started

RESULT: Final = "result"
_JOURNAL: Final = "answers.partial.jsonl"
_TOLD_EVERY_S: Final = 0.5


class Evaluation:
    """One order, from its files to its report."""

    def __init__(self, order: Evaluate, report: Callable[[Report], None]) -> None:
        """Read what is to be asked.

        Raises:
            ServiceError: the plan or a task file is not what it must be.
        """
        check_plan(order.plan)
        self._order = order
        self._report = report
        self._read: dict[str, TaskItems] = {}
        self._items: dict[str, tuple[Item, ...]] = {}
        self._excluded: dict[str, int] = {}
        for task in order.plan.tasks:
            self._prepare(task)
        self._plan = completed(order.plan, self._read, self._items)
        self._step = 0
        self._steps = 0
        self._note = ""
        self._started_s = clock.monotonic_s()
        self._told_s = 0.0

    def run(self) -> EvaluationReport:
        """Do all of it; `result/` is whole when it returns.

        Raises:
            ServiceError: why there is no report.
        """
        asked = list(self._questions())
        self._steps = len(asked)
        self._report(Started(rows=sum(map(len, self._items.values())), steps=self._steps))
        perplexity = self._perplexity()
        answers, outcomes = asyncio.run(self._ask(asked))
        material = replace(self._material(answers), outcomes=outcomes, perplexity=perplexity)
        assessment = assess(material)
        write_report(Path(self._order.directory) / RESULT, material, assessment)
        self._say(assessment.report.verdict.reason)
        return assessment.report

    def _prepare(self, task: Task) -> None:
        read = read_items(Path(self._order.tasks[task.name]))
        kept = unseen(read.items, [Path(file) for file in self._order.seen], self._order.plan.near_duplicates)
        self._read[task.name] = read
        self._excluded[task.name] = len(read.items) - len(kept)
        self._items[task.name] = sample(kept, task.limit)
        for note in read.notes:
            self._say(note)
        self._say(f"{task.name}: {len(self._items[task.name])} items; {self._excluded[task.name]} left out as seen")

    def _questions(self) -> Iterator[Question]:
        """Candidate and baseline side by side, taking turns in going first, so that both meet the same load."""
        plan, order = self._plan, self._order
        sides = [(Side.CANDIDATE, order.candidate)]
        if order.baseline:
            sides.append((Side.BASELINE, order.baseline))
        for task in plan.tasks:
            stop = self._read[task.name].stop
            drawn = questions(task.name, self._items[task.name], plan.temperatures, plan.samples, plan.seed)
            for turn, (item, temperature, number, seed) in enumerate(drawn):
                for side, model in sides if turn % 2 else sides[::-1]:
                    key = (task.name, side, temperature, item.id, number)
                    yield Question(model, key, item.messages, task.max_tokens, temperature, seed, stop)

    async def _ask(self, asked: list[Question]) -> tuple[Answers, dict[tuple[str, float], Outcomes]]:
        order = self._order
        who = digest(msgspec.json.encode(self._plan).decode(), order.candidate, order.baseline)
        journal = Journal(Path(order.directory) / _JOURNAL, who)
        kept = {key_of(answer): answer for answer in journal.open()}
        asker = Asker(Served(order.url, order.key, order.tenant, self._plan.concurrency))
        try:
            self._note = "asking"
            answers = Answers(await self._get(asker, journal, asked, kept))
            judge = self._plan.judge
            if judge is None or not judge.model or not answers.has_side(Side.BASELINE):
                return answers, {}
            jury = Jury(judge, self._material(answers))
            to_judge = list(jury.questions())
            self._steps += len(to_judge)
            self._note = "judging"
            return answers, jury.outcomes(await self._get(asker, journal, to_judge, kept))
        finally:
            journal.close()
            await asker.close()

    def _material(self, answers: Answers) -> Material:
        order = self._order
        return Material(self._plan, order.candidate, order.baseline, self._items, answers, excluded=self._excluded)

    async def _get(
        self, asker: Asker, journal: Journal, asked: list[Question], kept: dict[Key, Answer]
    ) -> list[Answer]:
        missing = [question for question in asked if question.key not in kept]
        self._step += len(asked) - len(missing)
        found = await asker.ask_all(missing, journal, self._on_answer)
        return [*(kept[question.key] for question in asked if question.key in kept), *found]

    def _perplexity(self) -> dict[tuple[str, Side], Scores]:
        wanted = [task for task in self._plan.tasks if Measure.PERPLEXITY in task.measures]
        order = self._order
        if not wanted or not (order.base or order.candidate_weights):
            if wanted:
                self._say("perplexity is unknown: there are no weights to measure it on")
            return {}
        # torch takes seconds to import, and only this needs it.
        from services.trainer.evaluation.perplexity import Weights  # noqa: PLC0415

        found = {}
        sides = [(Side.CANDIDATE, order.candidate_weights)]
        if order.baseline and (order.base or order.baseline_weights):
            sides.append((Side.BASELINE, order.baseline_weights))
        for side, directory in sides:
            self._say(f"perplexity of the {side.value}")
            weights = Weights(order.base, directory)
            for task in wanted:
                found[task.name, side] = weights.score(self._items[task.name])
            if weights.left_out:
                self._say(f"{weights.left_out} items have no perplexity: their template or their length does not fit")
        return found

    def _on_answer(self, answer: Answer) -> None:
        self._step += 1
        if answer.error:
            self._say(f"no answer to {answer.task}/{answer.item} by {answer.side.value}: {answer.error}")
        now_s = clock.monotonic_s()
        if now_s - self._told_s < _TOLD_EVERY_S and self._step < self._steps:
            return
        self._told_s = now_s
        spent_s = now_s - self._started_s
        left = self._steps - self._step
        eta_s = round(spent_s / self._step * left, 1)
        self._report(Progressed(progress=JobProgress(step=self._step, steps=self._steps, eta_s=eta_s, note=self._note)))

    def _say(self, text: str) -> None:
        self._report(Said(text=text))


def carry_out(order: Evaluate, report: Callable[[Report], None]) -> None:
    """Carry out an order; the last report is `Done`.

    Raises:
        ServiceError: why there is no report.
    """
    found = Evaluation(order, report).run()
    report(Done(metrics=metrics_of(found)))


def metrics_of(report: EvaluationReport) -> dict[str, float]:
    """The candidate's value of each metric over all items, as `<metric>@<temperature>`."""
    values = (value for value in report.values if not value.group and value.candidate is not None)
    return {f"{value.metric}@{value.temperature:g}": round(value.candidate or 0.0, 6) for value in values}
