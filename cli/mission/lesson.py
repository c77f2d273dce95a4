"""From customers' judgements to a measured version: the first half of the demo."""

from typing import Final

from cli.mission import plans
from cli.mission.scene import Lesson, Scene
from deploy.local.errors import StackError
from libs.contracts.evaluation import Verdict
from libs.contracts.registry import Version
from libs.contracts.training import Job, JobState, TrainingPlan
from libs.kit.clock import unix_ms
from services.trainer.study.customers import Rated, collect
from services.trainer.study.served_desk import RATED_TEMPERATURE

SEED: Final = 1
SUCCEEDED: Final = "succeeded"
_TOO_SMALL: Final = "Too small to be looked at alone"


async def learn(scene: Scene, base: Version) -> Lesson:
    """Customers rate, a data set is made, an adapter is taught, and the gate lets it pass.

    Raises:
        StackError: one of it did not come about.
    """
    since_ms = unix_ms()
    rated = await _rate(scene)
    dataset = await build(scene, "Data set of what they said", since_ms, f"{scene.name}-judged")
    with scene.view.step("Training of an adapter") as bar:
        plan = plans.training(scene.name, dataset, base.reference)
        job = well(await scene.platform.ended(await scene.platform.order_training(plan), bar.show))
        bar.result = f"{job.version} of {base.reference}, {job.progress.steps} steps"
    exam = plans.write_exam(scene.folder / "exam.jsonl")
    with scene.view.step("Evaluation beside the version that serves") as bar:
        wanted = plans.evaluation(exam, job.version, base.reference, must_gain=True)
        report = well(await scene.platform.ended(await scene.platform.order_evaluation(wanted), bar.show))
        verdict = verdict_of(report)
        bar.result = f"the gate: {said_of(verdict)}"
    if not verdict.passed:
        raise StackError(
            f"The gate held the honest version back. {verdict.reason}", f"See: ./llmos jobs show {report.id}"
        )
    return Lesson(since_ms, rated, base, dataset, exam, job.version, report)


async def _rate(scene: Scene) -> list[Rated]:
    """Everybody asks, judges by the stated rule, and some write what they would have liked to hear."""
    expected, heard = 2 * plans.RATING.ratings, 0
    with scene.view.step(f"Customers rate {plans.RATING.ratings} answers") as bar:

        def told() -> None:
            nonlocal heard
            heard += 1
            bar.show(heard, expected, "asked" if heard <= expected / 2 else "judged")

        async with scene.desk(RATED_TEMPERATURE, told) as desk:
            rated = await collect(desk, plans.RATING, SEED)
        up, better = sum(one.up for one in rated), sum(bool(one.better) for one in rated)
        share = 100 * up / len(rated)
        bar.result = (
            f"{up} thumbs up ({share:.0f} %), {len(rated) - up} down, {better} corrections; the rule: right by today's "
            f"prices, well formed, and kind"
        )
    return rated


async def build(scene: Scene, title: str, since_ms: int, name: str) -> str:
    """The reference of the data set of all judgements since then.

    Raises:
        StackError: it was not built.
    """
    with scene.view.step(title) as bar:
        dataset, rows = await built(scene, since_ms, name)
        bar.result = f"{dataset}, {rows} rows"
    return dataset


async def built(scene: Scene, since_ms: int, name: str, raters: tuple[str, ...] = ()) -> tuple[str, int]:
    """The reference of such a data set, and how many rows it has.

    Raises:
        StackError: it was not built.
    """
    job = await scene.platform.build(plans.selection(name, since_ms, raters))
    if job.state != SUCCEEDED:
        raise StackError(f"The data set {name} is {job.state}: {job.error}", f"See: ./llmos datasets show {job.id}")
    return job.reference, job.counts.get("admitted", 0)


async def taught(scene: Scene, plan: TrainingPlan) -> Job:
    """The training, ended well, unseen.

    Raises:
        StackError: it failed.
    """
    return well(await scene.platform.ended(await scene.platform.order_training(plan)))


def well(job: Job) -> Job:
    """The job, which has succeeded.

    Raises:
        StackError: it has not.
    """
    if job.state is not JobState.SUCCEEDED:
        raise StackError(
            f"The {job.kind.value} {job.id} {job.state.value}: {job.error}", f"See: ./llmos jobs log {job.id}"
        )
    return job


def verdict_of(job: Job) -> Verdict:
    """What the gate said.

    Raises:
        StackError: it said nothing.
    """
    if job.verdict is None:
        raise StackError(f"The evaluation {job.id} has no verdict.", f"See: ./llmos jobs show {job.id}")
    return job.verdict


def said_of(verdict: Verdict) -> str:
    """A verdict in a sentence or two; which groups were too small stands in the report."""
    said = verdict.reason.partition(_TOO_SMALL)[0].strip()
    return f"{'passed' if verdict.passed else 'held back'}, {verdict.outcome.value.replace('_', ' ')}. {said}"
