"""Asking a serving plane: what is sent, what is tried again, what counts as an answer that never came."""

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.contracts.evaluation import EvaluationPlan, EvaluationReport, Gate, Judge, Measure, Outcome, Rule, Task
from libs.kit.errors import ServiceError
from services.trainer import evaluation
from services.trainer.evaluation import asking
from services.trainer.evaluation.answers import Answer, Journal, Side
from services.trainer.evaluation.asking import Asker, Question, Served, seed_of
from services.trainer.work.order import Done, Evaluate, Progressed, Report, Said, Started
from tests.unit.trainer.evaluation.serving import Plane, Reply, refusal, serving

ITEMS = 30
ASKED = ITEMS * 2 * 2
"""Two sides at two temperatures."""
PLAN = EvaluationPlan(
    tasks=(Task(name="t", measures=(Measure.EXACT_MATCH, Measure.LATENCY_MS), max_tokens=9),),
    candidate="x",
    baseline="y",
    concurrency=4,
    gate=Gate(rules=(Rule(metric="t/exact_match", kind="better"),)),
)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_DEFAULT_WAIT_S", 0.001)


def _right(body: dict[str, Any], _: int) -> Reply:
    """The candidate knows the number that it is asked for, the baseline does not."""
    asked = body["messages"][-1]["content"]
    return 200, asked.removeprefix("Say ") if body["model"] == "new" else "no"


def _order(directory: Path, plane: Plane, plan: EvaluationPlan = PLAN, **more: Any) -> Evaluate:
    items = directory / "items.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"Say {n}"}], "reference": str(n), "id": str(n)} for n in range(ITEMS)
    ]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows))
    fields: dict[str, Any] = {
        "plan": plan, "candidate": "new", "baseline": "old", "tasks": {"t": str(items)}, "url": plane.url,
        "key": "sk-x", "directory": str(directory),
    }  # fmt: skip
    return Evaluate(**(fields | more))


async def _run(order: Evaluate) -> tuple[EvaluationReport, list[Report]]:
    reports: list[Report] = []
    await asyncio.to_thread(evaluation.run, order, reports.append)
    found = (Path(order.directory) / "result" / "report.json").read_bytes()
    return msgspec.json.decode(found, type=EvaluationReport), reports


async def test_an_evaluation_from_order_to_verdict(tmp_path: Path) -> None:
    async with serving(_right) as plane:
        report, reports = await _run(_order(tmp_path, plane))
    assert report.verdict.passed
    assert report.verdict.outcome is Outcome.BETTER
    assert report.counts == {"t": ITEMS}
    assert isinstance(reports[-1], Done)
    assert reports[-1].metrics["t/exact_match@0.7"] == 1.0
    assert Started(rows=ITEMS, steps=ASKED) in reports
    last = [one.progress for one in reports if isinstance(one, Progressed)][-1]
    assert (last.step, last.steps) == (ASKED, ASKED)
    assert (tmp_path / "result" / "report.html").exists()


async def test_what_belongs_to_a_project_is_asked_for_it(tmp_path: Path) -> None:
    async with serving(_right) as plane:
        await _run(_order(tmp_path, plane, tenant="shop"))
    assert {headers["x-llmos-tenant"] for headers in plane.headers} == {"shop"}


async def test_what_is_sent(tmp_path: Path) -> None:
    async with serving(_right) as plane:
        await _run(_order(tmp_path, plane, msgspec.structs.replace(PLAN, samples=2)))
    assert {headers["x-llmos-class"] for headers in plane.headers} == {"batch"}
    assert not any("x-llmos-tenant" in headers for headers in plane.headers)
    assert {headers["authorization"] for headers in plane.headers} == {"Bearer sk-x"}
    assert {one["max_tokens"] for one in plane.asked} == {9}
    sampled = [one for one in plane.asked if one["temperature"] == 0.7]
    assert len(sampled) == ITEMS * 2 * 2
    by_model = {model: {one["seed"] for one in sampled if one["model"] == model} for model in ("new", "old")}
    assert by_model["new"] == by_model["old"], "both sides have the same luck"
    assert len(by_model["new"]) == ITEMS * 2, "and every answer its own"
    assert 1 < plane.most <= 4


async def test_both_sides_take_turns(tmp_path: Path) -> None:
    plan = msgspec.structs.replace(PLAN, concurrency=1)
    async with serving(_right) as plane:
        await _run(_order(tmp_path, plane, plan))
    models = [one["model"] for one in plane.asked]
    firsts = models[0::2]
    assert all({one, other} == {"new", "old"} for one, other in zip(firsts, models[1::2], strict=True))
    assert abs(firsts.count("new") - firsts.count("old")) <= 1


async def test_what_can_succeed_later_is_asked_again(tmp_path: Path) -> None:
    def moody(body: dict[str, Any], before: int) -> Reply:
        if before < 2:
            return (200, "4…") if before else refusal(503, "queue_full")
        return _right(body, before)

    async with serving(moody) as plane:
        report, _ = await _run(_order(tmp_path, plane))
    assert report.failures == {}
    assert report.verdict.passed


async def test_what_cannot_is_counted_and_wrong(tmp_path: Path) -> None:
    def partly(body: dict[str, Any], before: int) -> Reply:
        if body["model"] == "new" and body["messages"][-1]["content"] == "Say 7":
            return refusal(400, "context_length_exceeded")
        return _right(body, before)

    async with serving(partly) as plane:
        report, reports = await _run(_order(tmp_path, plane))
    assert report.failures == {"candidate/context_length_exceeded": 2}
    assert len(plane.asked) == ASKED, "nothing was asked twice"
    value = next(v for v in report.values if v.metric == "t/exact_match")
    assert value.candidate == pytest.approx(1 - 1 / ITEMS)
    assert any("no answer to t/7 by candidate" in one.text for one in reports if isinstance(one, Said))


@pytest.mark.parametrize(("status", "code"), [(404, "model_not_found"), (401, "invalid_api_key")])
async def test_what_no_request_gets_past_ends_it_at_once(tmp_path: Path, status: int, code: str) -> None:
    async with serving(lambda _, __: refusal(status, code)) as plane:
        with pytest.raises(ServiceError) as failed:
            await _run(_order(tmp_path, plane))
    assert failed.value.code == code
    assert len(plane.asked) <= PLAN.concurrency


async def test_an_outage_ends_it_with_a_code_that_may_be_tried_again(tmp_path: Path) -> None:
    async with serving(lambda _, __: refusal(503, "no_worker")) as plane:
        with pytest.raises(ServiceError) as failed:
            await _run(_order(tmp_path, plane))
    assert failed.value.code == "no_worker"
    assert failed.value.spec.retryable
    assert not (tmp_path / "result").exists()


async def test_nobody_there_is_an_outage_too() -> None:
    asker = Asker(Served("http://127.0.0.1:9/v1", "k", attempts=2, most_failures=2))
    key = ("t", Side.CANDIDATE, 0.0, "i", 0)
    question = Question("m", key, [{"role": "user", "content": "?"}], 5, 0.0, 1)
    first = await asker.ask(question)
    assert first.error == "worker_lost"
    with pytest.raises(ServiceError):
        await asker.ask(question)
    await asker.close()


async def test_answers_outlive_a_kill(tmp_path: Path) -> None:
    def breaks(body: dict[str, Any], before: int) -> Reply:
        return refusal(401, "invalid_api_key") if len(plane.asked) > 60 else _right(body, before)

    async with serving(breaks) as plane:
        with pytest.raises(ServiceError):
            await _run(_order(tmp_path, plane))
        with (tmp_path / "answers.partial.jsonl").open("ab") as journal:
            journal.write(b'{"task":"t","item":"3","te')
        plane.answer = _right
        before = len(plane.asked)
        report, _ = await _run(_order(tmp_path, plane))
        assert len(plane.asked) - before <= ASKED - 50
    assert report.verdict.passed
    assert report.failures == {}


async def test_another_plan_asks_anew(tmp_path: Path) -> None:
    async with serving(_right) as plane:
        await _run(_order(tmp_path, plane))
        await _run(_order(tmp_path, plane))
        assert len(plane.asked) == ASKED
        await _run(_order(tmp_path, plane, msgspec.structs.replace(PLAN, seed=1)))
        assert len(plane.asked) == 2 * ASKED


async def test_a_model_judges_in_both_orders(tmp_path: Path) -> None:
    def with_judge(body: dict[str, Any], before: int) -> Reply:
        if body["model"] != "judge":
            return _right(body, before)
        text = body["messages"][-1]["content"]
        first = text.partition("<answer_a>\n")[2].partition("\n")[0]
        return 200, "B" if first == "no" else "A"

    plan = msgspec.structs.replace(
        PLAN, judge=Judge(model="judge"), gate=Gate(rules=(Rule(metric="t/win_rate", kind="better", margin=0.3),))
    )
    async with serving(with_judge) as plane:
        report, _ = await _run(_order(tmp_path, plane, plan))
    assert report.verdict.passed
    judged = [one for one in plane.asked if one["model"] == "judge"]
    assert len(judged) == 2 * ITEMS * 2
    assert {one["temperature"] for one in judged} == {0.0}


async def test_without_a_baseline_only_the_candidate_is_asked(tmp_path: Path) -> None:
    gate = Gate(rules=(Rule(metric="t/exact_match", kind="at_least", margin=0.8),))
    async with serving(_right) as plane:
        report, _ = await _run(_order(tmp_path, plane, msgspec.structs.replace(PLAN, gate=gate), baseline=""))
    assert {one["model"] for one in plane.asked} == {"new"}
    assert report.verdict.passed


async def test_items_that_training_saw_are_not_asked(tmp_path: Path) -> None:
    seen = tmp_path / "train.jsonl"
    seen.write_text(
        json.dumps({"messages": [{"role": "user", "content": "say 7"}, {"role": "assistant", "content": "7"}]})
    )
    async with serving(_right) as plane:
        report, _ = await _run(_order(tmp_path, plane, seen=(str(seen),)))
    assert report.excluded == {"t": 1}
    assert report.counts == {"t": ITEMS - 1}
    assert "Say 7" not in {one["messages"][-1]["content"] for one in plane.asked}


def test_seeds_are_stable_and_differ() -> None:
    assert seed_of(0, "t", "i", 0) == seed_of(0, "t", "i", 0)
    every = {seed_of(s, t, i, n) for s in (0, 1) for t in ("t", "u") for i in ("i", "j") for n in (0, 1)}
    assert len(every) == 16
    assert all(0 <= seed < 2**31 for seed in every)


def test_a_journal_of_another_plan_is_begun_anew(tmp_path: Path) -> None:
    first = Journal(tmp_path / "j", "one")
    assert first.open() == []
    first.add(Answer(task="t", item="i", text="kept"))
    first.add(Answer(task="t", item="i", error="no_worker"))
    first.close()
    assert [answer.text for answer in Journal(tmp_path / "j", "one").open()] == ["kept"]
    assert Journal(tmp_path / "j", "two").open() == []
