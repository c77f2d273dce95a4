"""Judges planted adapters by the gate, from their recorded answers: `python -m services.trainer.study.gated --help`."""

import argparse
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from libs.contracts.evaluation import EvaluationPlan, EvaluationReport, Task
from services.trainer.corpus.heldout import DEV, TEST
from services.trainer.corpus.items import Item
from services.trainer.evaluation.answers import Answer, Side
from services.trainer.evaluation.assess import assess
from services.trainer.evaluation.items import TaskItems, make_item
from services.trainer.evaluation.offline import material_of
from services.trainer.evaluation.report import write_report
from services.trainer.study.exam import exam_rows
from services.trainer.study.gate import GATE, JUDGE, RULES, TASK
from services.trainer.study.loop import Answered
from services.trainer.study.table import read_answers


def exam(items: Iterable[Item]) -> TaskItems:
    """The held-out questions as a task."""
    rows = exam_rows(items)
    return TaskItems(
        tuple(
            make_item(row["messages"], row["references"], id=row["id"], tags=tuple(row["tags"]), cluster=row["cluster"])
            for row in rows
        )
    )


def recorded(answered: Iterable[Answered], side: Side) -> list[Answer]:
    """What the study kept of one adapter; every pass asked all questions in their order."""
    places: dict[tuple[float, int], int] = defaultdict(int)
    samples: dict[float, list[int]] = defaultdict(list)
    found = []
    for one in answered:
        if one.seed not in samples[one.temperature]:
            samples[one.temperature].append(one.seed)
        place = places[one.temperature, one.seed]
        places[one.temperature, one.seed] += 1
        found.append(
            Answer(
                task=TASK,
                item=f"{place:04d}",
                side=side,
                temperature=one.temperature,
                sample=samples[one.temperature].index(one.seed),
                text=one.answer,
                finish_reason="stop" if one.stopped else "length",
            )
        )
    return found


def judge(folder: Path, name: str, suite: str, report: Path | None = None) -> EvaluationReport:
    """What the gate says of an adapter of the study against its base."""
    answers = [
        answer
        for side, of in ((Side.CANDIDATE, name), (Side.BASELINE, "base"))
        for answer in recorded(read_answers(folder / of / f"{suite}.jsonl"), side)
    ]
    most = 1 + max(answer.sample for answer in answers if answer.temperature == 0.7)
    plan = EvaluationPlan(
        tasks=(Task(name=TASK, measures=(), rules=RULES),),
        candidate=name,
        baseline="base",
        samples=most,
        judge=JUDGE,
        gate=GATE,
    )
    material = material_of(plan, {TASK: exam(TEST if suite == "test" else DEV)}, answers)
    assessment = assess(material)
    if report is not None:
        write_report(report, material, assessment)
    return assessment.report


def main() -> None:
    """Reads the command line and prints a verdict for each adapter."""
    parser = argparse.ArgumentParser(description="Judge planted adapters by the gate.")
    parser.add_argument("--out", type=Path, required=True, help="the folder that `study plant` filled")
    parser.add_argument("--suite", choices=("dev", "test"), default="dev")
    parser.add_argument("--reports", type=Path, help="folder for the reports")
    given = parser.parse_args()
    for path in sorted(given.out.glob(f"*/{given.suite}.jsonl")):
        name = path.parent.name
        if name != "base":
            verdict = judge(given.out, name, given.suite, given.reports and given.reports / name).verdict
            said = "passed" if verdict.passed else "held back"
            print(f"{name}: {said} ({verdict.outcome.value}). {verdict.reason}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
