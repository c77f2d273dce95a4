"""The whole loop, once, and two attempts to fool it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.mission import mischief, plans, report
from cli.mission.ledger import Act, Ledger
from cli.mission.lesson import learn, said_of, verdict_of, well
from cli.mission.platform import Platform
from cli.mission.questions import Heard
from cli.mission.rolling import promoted, roll_out, short, stopped_for
from cli.mission.scene import Lesson, Scene
from cli.mission.view import Took
from deploy.local.errors import StackError
from libs.contracts.registry import Kind, Version
from libs.contracts.training import Job
from libs.kit.clock import monotonic_s

GOOD_SEED, BAD_SEED = 11, 12
MOST_OF_THEM: Final = 3


@dataclass(frozen=True, kw_only=True)
class Place:
    """A running stack, as whoever started it knows it."""

    url: str
    """The gateway's root, without `/v1`."""
    keys: tuple[str, str]
    """An ordinary one, and an administrator's."""
    name: str
    """Of the desk."""
    folder: Path
    """Where the exam and the picture go."""
    ask: Callable[[str], str]
    """Asks one question as any client would, and shows question and answer."""
    came_up_s: float = 0.0
    """How long the stack took to come up, if it was not up already."""


async def play(place: Place, *, is_short: bool) -> bool:
    """The whole demo; whether there was anything to learn.

    Raises:
        StackError: a step did not come to what it must; its text says which.
    """
    async with Platform(place.url, place.keys[1]) as platform:
        base = await platform.champion(place.name)
        if base.kind is not Kind.MODEL:
            return False
        scene = Scene(
            url=place.url, key=place.keys[0], name=place.name, folder=place.folder, platform=platform, ask=place.ask,
            ledger=Ledger(monotonic_s() - place.came_up_s),
        )  # fmt: skip
        if place.came_up_s:
            scene.view.took.append(Took("Everything comes up", place.came_up_s, ""))
        await _play(scene, base, is_short=is_short)
    return True


async def _play(scene: Scene, base: Version, *, is_short: bool) -> None:
    before = await _before(scene)
    lesson = await learn(scene, base)
    names = {base.reference: "the starter model", short(lesson.version): "what it learned"}
    act = Act("Rollout of what it learned, live traffic", names)
    async with _preparing(scene, lesson, is_short=is_short) as bad:
        promoted(await roll_out(scene, act, lesson.version, GOOD_SEED))
        liked = [scene.ledger.liked(version) for version in names]
        after = await _after(scene, lesson)
        if bad is not None:
            await _offer_bad(scene, lesson, bad)
    report.show(report.rows(before, after, verdict_of(lesson.report), liked), scene.view.took, scene.ledger.now_s)
    scene.view.line(f"picture: {report.write_plot(scene.folder, scene.ledger)}")
    troubles = scene.troubles
    scene.view.line(
        f"customers: {troubles.lost} requests got no answer and were sent again, {troubles.busy} were asked to come "
        f"later, {scene.unanswered} were given up"
    )


async def _before(scene: Scene) -> list[Heard]:
    heard = await scene.heard()
    if not any(one.outdated for one in heard) or all(one.kind for one in heard):
        raise StackError(
            "The starter model is not as it should be: its prices are out of date, and it is curt.",
            "See: ./llmos models aliases helpdesk",
        )
    return heard


async def _after(scene: Scene, lesson: Lesson) -> list[Heard]:
    await _champion_is(scene, lesson.version)
    heard = await scene.heard()
    good = sum(one.right and one.kind for one in heard)
    # One seed and a handful of questions; what holds for many was shown by the exam and by live customers.
    if any(one.outdated for one in heard) or good < MOST_OF_THEM:
        raise StackError(
            f"After the promotion {good} of {len(heard)} answers are right and kind.",
            f"See: ./llmos models show {lesson.version}",
        )
    return heard


@contextlib.asynccontextmanager
async def _preparing(
    scene: Scene, lesson: Lesson, *, is_short: bool
) -> AsyncIterator["asyncio.Task[mischief.Bad] | None"]:
    """The two bad versions in the making, while other things go on; None where they are left out."""
    if is_short:
        yield None
        return
    task = asyncio.create_task(mischief.prepared(scene, lesson))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _offer_bad(scene: Scene, lesson: Lesson, bad: "asyncio.Task[mischief.Bad]") -> None:
    """Offers both: the gate must stop the one, and live customers the other."""
    with scene.view.step("Training of two bad versions, the rest") as bar:
        made = await bad
        bar.result = f"{short(made.wrong.version)}, {short(made.rumour.version)}"
    exam = await _examined(scene, lesson, "Evaluation of what pranksters taught", made.wrong)
    if verdict_of(exam).passed:
        raise StackError(
            "The gate let a version pass that is nearly always wrong.", f"See: ./llmos jobs show {exam.id}"
        )
    exam = await _examined(scene, lesson, "Evaluation of what a rumour taught", made.rumour)
    if not verdict_of(exam).passed:
        text = f"The gate saw what its exam does not ask. {said_of(verdict_of(exam))}"
        raise StackError(text, f"See: ./llmos jobs show {exam.id}")
    names = {short(lesson.version): "the champion", short(made.rumour.version): "what a rumour taught"}
    act = Act("Rollout of what a rumour taught, live traffic", names, plans.LEFT_OUT.value)
    stopped_for(await roll_out(scene, act, made.rumour.version, BAD_SEED), plans.LEFT_OUT.value)
    await _champion_is(scene, lesson.version)


async def _examined(scene: Scene, lesson: Lesson, title: str, job: Job) -> Job:
    with scene.view.step(title) as bar:
        wanted = plans.evaluation(lesson.exam, job.version, lesson.version, must_gain=False)
        ended = well(await scene.platform.ended(await scene.platform.order_evaluation(wanted), bar.show))
        bar.result = f"the gate: {said_of(verdict_of(ended))}"
    return ended


async def _champion_is(scene: Scene, version: str) -> None:
    found = await scene.platform.champion(scene.name)
    if found.reference != short(version):
        raise StackError(
            f"The champion is {found.reference}, not {version}.", f"See: ./llmos models aliases {scene.name}"
        )
