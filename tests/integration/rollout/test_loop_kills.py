"""Whichever service is killed in whichever step of a turn: it ends in one right end, and nothing was done twice.

`pytest tests/integration/rollout/test_loop_kills.py -m slow -s` prints the table of services/rollout/README.md.
"""

import pytest

from libs.testkit.registry import RegistryGround
from libs.testkit.rollout import RolloutGround
from tests.integration.rollout.loop_kills import HEAD, SERVICES, STEPS, Killed, whole_platform

FEW = (("gateway", "measuring"), ("feedback", "selecting"))


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param(FEW, id="two kills"),
        *(
            pytest.param(
                tuple((service, step) for step in STEPS), id=f"{service} in every step", marks=pytest.mark.slow
            )
            for service in SERVICES
        ),
    ],
)
async def test_a_turn_ends_right_whichever_service_is_killed_in_whichever_step(
    ground: RolloutGround, registry_ground: RegistryGround, kills: tuple[tuple[str, str], ...]
) -> None:
    print(f"\n{HEAD}")
    async with whole_platform(ground, registry_ground) as whole:
        done: list[Killed] = []
        for service, step in kills:
            done.append(await whole.kill(service, step))
            print(done[-1].row(), flush=True)
    assert [(one.service, one.step, one.end) for one in done] == [(*kill, "promoted") for kill in kills]
    assert {(one.datasets, one.trainings, one.reports, one.rollouts, one.moves) for one in done} == {(1, 1, 1, 1, 1)}
