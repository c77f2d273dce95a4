"""Judges recorded answers without a served model: `python -m services.trainer.evaluation.offline --help`.

The answers are JSONL files of `services.trainer.evaluation.answers.Answer`; what a served model would be asked is what
must be in them, and what is missing counts as an answer that never came.
"""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from libs.contracts.evaluation import EvaluationPlan
from libs.kit.errors import ServiceError
from services.trainer.evaluation.answers import Answer, Answers, Side, read_answers
from services.trainer.evaluation.assess import Assessment, Material, assess
from services.trainer.evaluation.items import TaskItems, read_items, sample
from services.trainer.evaluation.leaks import unseen
from services.trainer.evaluation.plans import check_plan, completed
from services.trainer.evaluation.report import write_report


def material_of(
    plan: EvaluationPlan, read: Mapping[str, TaskItems], answers: Iterable[Answer], seen: Iterable[Path] = ()
) -> Material:
    """Everything a report needs, from recorded answers.

    Raises:
        ServiceError: `invalid_value`, the plan cannot be carried out, or needs a judge that would have to be asked.
    """
    check_plan(plan)
    if plan.judge is not None and plan.judge.model:
        raise ServiceError("invalid_value", "Recorded answers can be judged by a rule only.", param="judge")
    files = list(seen)
    kept = {task.name: unseen(read[task.name].items, files, plan.near_duplicates) for task in plan.tasks}
    items = {task.name: sample(kept[task.name], task.limit) for task in plan.tasks}
    excluded = {name: len(read[name].items) - len(found) for name, found in kept.items()}
    whole = completed(plan, dict(read), items)
    return Material(whole, plan.candidate, plan.baseline, items, Answers(answers), excluded=excluded)


def main() -> None:
    """Reads the command line, judges, writes the report and prints the verdict."""
    parser = argparse.ArgumentParser(description="Judge recorded answers.")
    parser.add_argument("plan", type=Path, help="an EvaluationPlan in JSON; its tasks' `file` name the items")
    parser.add_argument("--candidate", type=Path, required=True, help="recorded answers of the candidate")
    parser.add_argument("--baseline", type=Path, required=True, help="recorded answers of the baseline")
    parser.add_argument("--seen", type=Path, nargs="*", default=[], help="files of rows that training saw")
    parser.add_argument("--out", type=Path, required=True, help="directory for the report")
    chosen = parser.parse_args()
    try:
        _judge(chosen)
    except (ServiceError, OSError, msgspec.DecodeError) as error:
        parser.exit(1, f"{error}\n")


def _judge(chosen: argparse.Namespace) -> None:
    plan = msgspec.json.decode(chosen.plan.read_bytes(), type=EvaluationPlan)
    read = {task.name: read_items(chosen.plan.parent / task.file) for task in plan.tasks}
    answers = read_answers(chosen.candidate, Side.CANDIDATE) + read_answers(chosen.baseline, Side.BASELINE)
    material = material_of(plan, read, answers, chosen.seen)
    assessment: Assessment = assess(material)
    write_report(chosen.out, material, assessment)
    verdict = assessment.report.verdict
    print(f"{'passed' if verdict.passed else 'held back'}: {verdict.outcome.value}. {verdict.reason}")  # noqa: T201


if __name__ == "__main__":
    main()
