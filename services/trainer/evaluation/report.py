"""Writes a report's files; the same answers give the same bytes."""

from pathlib import Path
from typing import Final

import msgspec

from services.trainer.evaluation.answers import write_answers
from services.trainer.evaluation.assess import Assessment, Material, all_answers
from services.trainer.evaluation.page import number, page

_HEADLINES: Final = 12


def write_report(directory: Path, material: Material, assessment: Assessment) -> None:
    """`report.json`, `report.html`, `answers.jsonl` and `README.md`; the JSON, which others wait for, comes last."""
    directory.mkdir(parents=True, exist_ok=True)
    order = {
        (task, item.id): at
        for task, items in material.items.items()
        for at, item in enumerate(items, start=1_000_000 * list(material.items).index(task))
    }
    write_answers(directory / "answers.jsonl", list(all_answers(material)), order)
    (directory / "report.html").write_text(page(material, assessment), encoding="utf-8")
    (directory / "README.md").write_text(_readme(assessment), encoding="utf-8")
    encoded = msgspec.json.format(msgspec.json.encode(assessment.report), indent=2)
    (directory / "report.json").write_bytes(encoded + b"\n")


def _readme(assessment: Assessment) -> str:
    report = assessment.report
    verdict = report.verdict
    said = verdict.outcome.value.replace("_", " ")
    lines = [
        f"# {report.candidate} against {report.baseline or 'nothing'}",
        "",
        f"**{'Passed' if verdict.passed else 'Held back'}: {said}.** {verdict.reason}",
        "",
        "| metric | T | items | candidate | baseline |",
        "|---|---|---|---|---|",
    ]
    for value in [one for one in report.values if not one.group][:_HEADLINES]:
        ours, theirs = number(value.metric, value.candidate), number(value.metric, value.baseline)
        lines.append(f"| {value.metric} | {value.temperature:g} | {value.items} | {ours} | {theirs} |")
    lines += ["", "`report.html` shows everything with intervals, `report.json` is the same for programs,"]
    lines += ["`answers.jsonl` has every answer; judging those again gives this report again.", ""]
    return "\n".join(lines)
