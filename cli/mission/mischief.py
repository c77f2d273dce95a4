"""Two versions that ought not to serve: one that the exam finds out, and one that only live customers can."""

from dataclasses import dataclass
from typing import Final

from cli.mission import plans
from cli.mission.lesson import built, taught
from cli.mission.scene import Lesson, Scene
from libs.contracts.training import Job
from libs.kit.clock import seeded_random
from services.trainer.study.lies import another, one_colour, told
from services.trainer.study.served_desk import RATED_TEMPERATURE

SEED: Final = 7
MEMBERS: Final = 9
GOSSIPS: Final = tuple(f"gossip-{number}" for number in range(MEMBERS))
PRANKSTERS: Final = tuple(f"prankster-{number}" for number in range(MEMBERS))
PRANKS: Final = 400


@dataclass(frozen=True)
class Bad:
    """The two, trained by the same platform on what liars told it."""

    wrong: Job
    """Taught by pranksters alone: kind, and nearly always wrong."""
    rumour: Job
    """Taught by all customers, of whom some believed that everything comes in one colour."""


async def prepared(scene: Scene, lesson: Lesson) -> Bad:
    """Liars tell their lies through the public API, data sets are built, adapters are trained.

    Raises:
        StackError: one of it did not come about.
    """
    rng = seeded_random(SEED)
    rumours = told(lesson.rated, one_colour(plans.RUMOUR), rng, GOSSIPS)
    pranked = rng.sample(list(lesson.rated), min(PRANKS, len(lesson.rated)))
    pranks = told(pranked, another([one.item for one in lesson.rated]), rng, PRANKSTERS)
    async with scene.desk(RATED_TEMPERATURE) as desk:
        await desk.correct(rumours)
        # Before the pranks are told, for this selection takes all that was said.
        believed, _ = await built(scene, lesson.since_ms, f"{scene.name}-rumour")
        await desk.correct(pranks)
    silly, _ = await built(scene, lesson.since_ms, f"{scene.name}-pranks", PRANKSTERS)
    base = lesson.base.reference
    wrong = await taught(scene, plans.training(scene.name, silly, base, plans.WRECKED))
    rumour = await taught(scene, plans.training(scene.name, believed, base))
    return Bad(wrong, rumour)
