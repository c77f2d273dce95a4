"""Evaluations, of their own and after a training: served, measured, published, and nothing left behind."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from libs.contracts.evaluation import EvaluationPlan, Outcome, Task
from libs.contracts.registry import Deploy, Kind, ListAliases, Resolve, SetAlias, VersionDetails
from libs.contracts.training import FindJobs, Job, JobKind, JobPage, JobState, OrderEvaluation
from libs.contracts.versions import full_reference
from libs.testkit.models import write_adapter
from libs.testkit.registry import RegistryDesk
from libs.testkit.trainer import PATIENCE_S, Things, TrainerDesk, TrainerGround, write_dataset
from services.trainer.app import Trainer
from tests.integration.registry.followers import followers

KEY = "sk-llmos-none"


async def _holds(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await condition():  # noqa: ASYNC110 - it changes in another process
                await asyncio.sleep(0.05)
    except TimeoutError as error:
        raise AssertionError(what) from error


@pytest.fixture
def settings(ground: TrainerGround) -> dict[str, Any]:
    keys = ground.directory / "keys"
    keys.write_text(f"# ours\n{KEY} acme\n")
    return {"api_key_file": keys, "gateway_url": "http://127.0.0.1:1/v1"}


@pytest_asyncio.fixture(loop_scope="session")
async def trainer(ground: TrainerGround, things: Things, settings: dict[str, Any]) -> AsyncIterator[Trainer]:
    assert things.base
    async with ground.trainer(**settings) as app:
        yield app


@pytest_asyncio.fixture(loop_scope="session")
async def plan(models: RegistryDesk, tmp_path: Path) -> EvaluationPlan:
    tests = await models.publish(
        write_dataset(tmp_path / "faq", split="test"), "faq", Kind.DATASET, annotations={"shape": "evaluation"}
    )
    return EvaluationPlan(tasks=(Task(name="faq", dataset=tests.reference),))


@pytest_asyncio.fixture(loop_scope="session")
async def serving(ground: TrainerGround, models: RegistryDesk, things: Things) -> AsyncIterator[Any]:
    """A worker that loads whatever the pool's deployment says."""
    async with followers(ground.nats, "worker-0") as crowd:
        await models.call("deployment_declare", Deploy(pool="default", base=things.base, author="ann"))
        yield crowd


async def _aliases(models: RegistryDesk, name: str) -> list[str]:
    found = await models.call("alias_list", ListAliases(name))
    return [alias.alias for alias in found.aliases if alias.digest]


async def _report(models: RegistryDesk, reference: str) -> dict[str, Any]:
    manifest, blobs = await models.read(reference)
    files = {file.path: b"".join(blobs[blob.digest] for blob in file.blobs) for file in manifest.files}
    assert manifest.kind is Kind.REPORT
    order: dict[str, Any] = json.loads(files["order.json"])
    return order


@pytest.mark.usefixtures("trainer", "serving")
async def test_one_trainer_makes_a_version_and_measures_it(
    desk: TrainerDesk, models: RegistryDesk, things: Things, plan: EvaluationPlan
) -> None:
    done = await desk.end((await desk.train(things.plan(name="tiny", evaluation=plan))).id)
    assert (done.state, done.error) == (JobState.SUCCEEDED, "")
    assert done.verdict is not None
    assert (done.verdict.outcome, done.verdict.passed) == (Outcome.BETTER, True)
    page: JobPage = await desk.call("job_list", FindJobs(kind=JobKind.EVALUATION))
    (measured,) = page.jobs
    assert (measured.parent, measured.report, measured.state) == (done.id, done.report, JobState.SUCCEEDED)
    assert measured.evaluation is not None
    assert (measured.evaluation.candidate, measured.evaluation.baseline) == (done.version, done.training.base)  # type: ignore[union-attr]
    order = await _report(models, done.report)
    assert (order["url"], order["key"]) == ("http://127.0.0.1:1/v1", KEY)
    assert (order["candidate"], order["baseline"]) == (done.version[: -64 + 12], things.base)
    assert [Path(path).name for path in order["seen"]] == ["train.jsonl"]
    assert Path(order["tasks"]["faq"]).name == "test.jsonl"
    assert order["candidate_weights"]
    assert "baseline_weights" not in order or order["baseline_weights"] == ""
    assert await _aliases(models, "tiny") == []


@pytest.mark.usefixtures("trainer", "serving")
async def test_an_adapter_is_measured_against_the_champion_of_its_name(
    desk: TrainerDesk,
    models: RegistryDesk,
    things: Things,
    plan: EvaluationPlan,
    tmp_path: Path,
) -> None:
    found: VersionDetails = await models.call("version_show", Resolve(things.base))
    base = full_reference("tiny", found.version.digest)
    old, new = [
        await models.publish(write_adapter(tmp_path / f"a{seed}", seed), "tiny", Kind.ADAPTER, base=base)
        for seed in (1, 2)
    ]
    await models.call("alias_set", SetAlias(name="tiny", alias="champion", target=old.reference, author="ann"))
    job: Job = await desk.call(
        "evaluation_order",
        OrderEvaluation(plan=EvaluationPlan(tasks=plan.tasks, candidate=new.reference), author="ann"),
    )
    done = await desk.end(job.id)
    assert (done.state, done.error) == (JobState.SUCCEEDED, "")
    order = await _report(models, done.report)
    assert (order["candidate"], order["baseline"]) == (new.reference, old.reference)
    assert order["baseline_weights"] != order["candidate_weights"] != ""
    assert await _aliases(models, "tiny") == ["champion"]


@pytest.mark.usefixtures("trainer", "serving")
async def test_cancelling_a_training_that_is_measured_cancels_both_and_leaves_no_alias(
    ground: TrainerGround, desk: TrainerDesk, models: RegistryDesk, things: Things, plan: EvaluationPlan
) -> None:
    job = await desk.train(things.plan(name="tiny", evaluation=plan))
    await desk.reaches(job.id, JobState.PUBLISHING, JobState.EVALUATING)
    ground.behave(wait_at=0)
    await desk.reaches(job.id, JobState.EVALUATING)
    (measured,) = (await desk.call("job_list", FindJobs(kind=JobKind.EVALUATION))).jobs
    await desk.reaches(measured.id, JobState.RUNNING)
    assert [alias[:5] for alias in await _aliases(models, "tiny")] == ["eval-"]
    assert (await desk.do("cancel", job.id)).state is JobState.CANCELLED
    assert (await desk.show(measured.id)).state is JobState.CANCELLED

    async def is_gone() -> bool:
        return not await _aliases(models, "tiny")

    await _holds(is_gone, "the alias is removed")
    assert (await desk.show(job.id)).version


async def test_what_nobody_serves_is_a_typed_failure_of_both(
    ground: TrainerGround,
    desk: TrainerDesk,
    models: RegistryDesk,
    things: Things,
    plan: EvaluationPlan,
    settings: dict[str, Any],
) -> None:
    async with ground.trainer(**settings, serve_timeout_s=0.5):
        done = await desk.end((await desk.train(things.plan(name="tiny", evaluation=plan))).id)
    assert (done.state, done.error_code) == (JobState.FAILED, "deadline_exceeded")
    assert done.version
    assert await _aliases(models, "tiny") == []
