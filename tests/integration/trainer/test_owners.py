"""Jobs are somebody's: what is made under a project's name is the project's, and tells of nobody else's."""

from pathlib import Path
from typing import Any

import pytest

from libs.contracts.evaluation import EvaluationPlan, Task
from libs.contracts.registry import Kind, Lineage, Resolve, Version
from libs.contracts.training import FindJobs, Job, JobRef, JobState, OrderEvaluation, OrderTraining
from libs.contracts.versions import full_reference
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, Options, publish, scan
from libs.testkit.models import write_adapter
from libs.testkit.registry import RegistryDesk
from libs.testkit.trainer import Things, TrainerDesk, write_dataset

ACME, OTHER = "acme", "other"


async def _base(models: RegistryDesk, things: Things) -> str:
    shown = await models.call("version_show", Resolve(things.base))
    return full_reference(shown.version.name, shown.version.digest)


async def _published(models: RegistryDesk, directory: Path, tenant: str, **description: Any) -> Version:
    return await publish(models, scan(directory, Description(**description)), "ann", options=Options(tenant=tenant))


async def _adapter(models: RegistryDesk, things: Things, directory: Path, **more: Any) -> Version:
    base = await _base(models, things)
    return await _published(
        models, write_adapter(directory, 5), ACME, name="tone", kind=Kind.ADAPTER, base=base, **more
    )


async def _words(models: RegistryDesk, directory: Path, name: str, tenant: str, split: str = "train") -> Version:
    shape = "sft" if split == "train" else "evaluation"
    written = write_dataset(directory / name, split=split)
    return await _published(models, written, tenant, name=name, kind=Kind.DATASET, annotations={"shape": shape})


@pytest.mark.usefixtures("trainer")
async def test_what_the_platform_makes_under_a_projects_name_is_the_projects(
    desk: TrainerDesk, models: RegistryDesk, things: Things, tmp_path: Path
) -> None:
    await _adapter(models, things, tmp_path / "a")
    foreign = await _words(models, tmp_path, "foreign", OTHER)
    done = await desk.end((await desk.train(things.plan(name="tone"))).id)
    assert (done.state, done.tenant) == (JobState.SUCCEEDED, ACME)
    made = await models.call("version_show", Resolve(done.version, ACME))
    assert made.version.tenant == ACME
    assert [job.id for job in (await desk.call("job_list", FindJobs(tenant=ACME))).jobs] == [done.id]
    for call, request in (
        (desk.call, ("job_show", JobRef(done.id, OTHER))),
        (models.call, ("version_show", Resolve(done.version, OTHER))),
        # For a project it teaches what the project may see.
        (desk.train, (things.plan(name="tone", dataset=foreign.reference),)),
    ):
        with pytest.raises(ServiceError) as caught:
            await call(*request)
        assert caught.value.code in ("job_not_found", "not_found", "version_not_found")
    assert (await desk.train(things.plan(name="unheard-of"))).tenant == ""


@pytest.mark.usefixtures("trainer")
async def test_a_project_names_no_files_of_the_trainer(desk: TrainerDesk, things: Things, tmp_path: Path) -> None:
    file = write_dataset(tmp_path / "questions", split="test") / "test.jsonl"
    plan = EvaluationPlan(tasks=(Task(name="faq", file=str(file)),), candidate=things.base, baseline=things.base)
    inside = EvaluationPlan(tasks=plan.tasks)
    orders = (
        ("evaluation_order", OrderEvaluation(plan=plan, author="ann", tenant=ACME)),
        ("training_order", OrderTraining(plan=things.plan(name="mine", evaluation=inside), author="ann", tenant=ACME)),
    )
    for operation, order in orders:
        with pytest.raises(ServiceError) as caught:
            await desk.call(operation, order)
        assert (caught.value.code, caught.value.param) == ("forbidden", "tasks")
    assert (await desk.call("job_list", FindJobs())).jobs == ()
    queued: Job = await desk.call("evaluation_order", OrderEvaluation(plan=plan, author="ann"))
    assert (await desk.do("cancel", queued.id)).state in (JobState.CANCELLED, JobState.CLAIMED, JobState.RUNNING)


@pytest.mark.usefixtures("trainer")
async def test_no_evaluation_tells_what_is_in_anothers_data_set(
    desk: TrainerDesk, models: RegistryDesk, things: Things, tmp_path: Path
) -> None:
    foreign = await _words(models, tmp_path, "foreign", OTHER)
    questions = await _words(models, tmp_path, "questions", ACME, "test")
    claimed = await _adapter(
        models, things, tmp_path / "a", lineage=Lineage(dataset=full_reference(foreign.name, foreign.digest))
    )
    plan = EvaluationPlan(
        tasks=(Task(name="faq", dataset=questions.reference),), candidate=claimed.reference, baseline=things.base
    )
    order = OrderEvaluation(plan=plan, author="ann", tenant=ACME)
    done = await desk.end((await desk.call("evaluation_order", order)).id)
    assert (done.state, done.error_code) == (JobState.FAILED, "version_not_found")
    assert "foreign" in done.error
