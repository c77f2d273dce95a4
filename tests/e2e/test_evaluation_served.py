"""An evaluation asks the real request path, at class batch, and its report says what was measured."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from libs.contracts.evaluation import EvaluationPlan, EvaluationReport, Gate, Measure, Outcome, Rule, Task
from libs.contracts.inference import ServiceClass
from libs.testkit.front import stored_events
from libs.testkit.platform import ROOT, Platform
from services.trainer import evaluation
from services.trainer.corpus.heldout import DEV
from services.trainer.evaluation.answers import read_answers
from services.trainer.study.exam import exam_rows
from services.trainer.work.order import Evaluate, Report

GATE = Gate(
    rules=(
        Rule(metric="desk/helpdesk.right", kind="not_worse", margin=0.05, slack=0.1),
        Rule(metric="desk/helpdesk.polite", kind="better"),
    )
)


def _order(directory: Path, platform: Platform, models: tuple[str, str], base: str = "") -> Evaluate:
    items = directory / "items.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in exam_rows(DEV[::12])))
    measures = (Measure.TOKEN_F1, Measure.LATENCY_MS, Measure.FIRST_TOKEN_MS, Measure.PERPLEXITY)
    rules = ("helpdesk.right", "helpdesk.polite", "helpdesk.well_formed")
    task = Task(name="desk", measures=measures, rules=rules, limit=40, max_tokens=48)
    return Evaluate(
        plan=EvaluationPlan(tasks=(task,), gate=GATE),
        candidate=models[0],
        baseline=models[1],
        tasks={"desk": str(items)},
        base=base,
        url=platform.base_url,
        key=platform.api_key,
        directory=str(directory),
    )


async def _run(order: Evaluate) -> EvaluationReport:
    reports: list[Report] = []
    await asyncio.to_thread(evaluation.run, order, reports.append)
    found = (Path(order.directory) / "result" / "report.json").read_bytes()
    return msgspec.json.decode(found, type=EvaluationReport)


async def test_it_asks_at_batch_class_and_the_same_model_is_not_better(tmp_path: Path, fake_platform: Platform) -> None:
    before = len(await stored_events(fake_platform.nats))
    report = await _run(_order(tmp_path, fake_platform, ("helpdesk", "helpdesk@champion")))
    events = (await stored_events(fake_platform.nats))[before:]
    assert len(events) == 160
    assert {event.service_class for event in events} == {ServiceClass.BATCH}
    assert report.failures == {}
    assert (report.verdict.outcome, report.verdict.passed) == (Outcome.UNKNOWN, False)
    answers = read_answers(tmp_path / "result" / "answers.jsonl")
    assert len(answers) == 160
    assert all(answer.text and answer.latency_ms and answer.first_token_ms for answer in answers)
    assert any("perplexity" in value.metric for value in report.values) is False, "there were no weights"


@pytest.mark.vllm
async def test_the_starter_model_is_measured_as_its_card_says(tmp_path: Path, vllm_platform: Platform) -> None:
    name = vllm_platform.model_name
    order = _order(tmp_path, vllm_platform, (name, name), str(ROOT / "deploy" / "starter" / "helpdesk"))
    report = await _run(order)
    values = {(value.metric, value.temperature): value for value in report.values if not value.group}
    right = values["desk/helpdesk.right", 0.0]
    assert right.candidate is not None
    assert 0.6 <= right.candidate <= 1
    assert right.candidate == right.baseline
    polite = values["desk/helpdesk.polite", 0.7].candidate
    assert polite is not None
    assert polite < 0.5
    assert values["desk/perplexity", 0.0].candidate == values["desk/perplexity", 0.0].baseline
    assert report.verdict.passed is False
