"""A platform all of whose services are processes, a loop for each kill, and what is true after each."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy import text

from libs.contracts import subjects
from libs.contracts.datasets import ListJobs
from libs.contracts.evaluation import EvaluationPlan, Gate, Rule, Task
from libs.contracts.feedback import Statistics, StatisticsQuery
from libs.contracts.registry import Kind, ListVersions
from libs.contracts.rollouts import (
    TURN_ENDED,
    ApplyLoop,
    FindRollouts,
    FindTurns,
    RolloutState,
    Turn,
    TurnChanged,
    TurnState,
)
from libs.contracts.training import FindJobs, JobKind, JobState
from libs.contracts.versions import full_reference
from libs.kit import clock
from libs.kit.postgres import Database
from libs.testkit.feedback import TENANT
from libs.testkit.ports import free_port
from libs.testkit.registry import RegistryDesk, RegistryGround, registry_process
from libs.testkit.rollout import RolloutGround
from libs.testkit.service_process import ServiceProcess, running
from libs.testkit.streams import stream_messages
from libs.testkit.trainer import TrainerProcess, trainer_process
from libs.testkit.wait import eventually
from tests.integration.rollout.customers import PATIENCE_S, Customers, Desk, customers, holds, served
from tests.integration.rollout.loop_platform import JUDGED, KEY, Platform, platform_of
from tests.integration.rollout.world import NAME, world

SERVICES: Final = ("registry", "gateway", "trainer", "feedback", "rollout")
STEPS: Final = ("judging", "selecting", "training", "measuring", "rolling out")
ORDER: Final = [TurnState.SELECTING, TurnState.TRAINING, TurnState.ROLLING_OUT, TurnState.PROMOTED]
QUESTIONS: Final = 40
HELD: Final = 4
"""Questions of an evaluation that wait when it is disturbed."""


@dataclass(frozen=True, kw_only=True)
class Killed:
    """One kill, and what there was of its turn at the end."""

    service: str
    step: str
    found: str
    """State of the turn when the service died."""
    end: str
    datasets: int
    trainings: int
    reports: int
    rollouts: int
    moves: int
    seconds: float

    def row(self) -> str:
        """As a line of a table."""
        counts = (self.datasets, self.trainings, self.reports, self.rollouts, self.moves)
        cells = (self.service, self.step, self.found, self.end, *counts, f"{self.seconds:.0f}")
        return f"| {' | '.join(str(one) for one in cells)} |"


HEAD: Final = (
    "| killed | while | its turn was | end | data sets | trainings | reports | rollouts | alias moves | seconds |\n"
    "|---|---|---|---|---:|---:|---:|---:|---:|---:|"
)


@dataclass
class Whole:
    """A platform all of whose services are processes, with customers and workers of this process."""

    platform: Platform
    processes: dict[str, ServiceProcess | TrainerProcess]
    desk: Desk
    customers: Customers
    turns: list[Turn] = field(default_factory=list)
    """Those that have ended."""

    async def kill(self, service: str, step: str) -> Killed:
        """Have a loop turn once, kill the service in that step of it, and look at everything when it has ended."""
        began_s = clock.monotonic_s()
        name = f"{service}-{step.replace(' ', '-')}"
        self.platform.trainers.behave(really_evaluates=True, wait_at=3 if step == "training" else -1)
        self.desk.holds = step == "measuring"
        since_ms = clock.unix_ms()
        if step == "judging":
            await self._judge(range(JUDGED // 2), name)
            found = "not begun"
            async with asyncio.TaskGroup() as group:
                group.create_task(self._judge(range(JUDGED // 2, JUDGED), name))
                group.create_task(self._die(service))
            await self._apply(name, since_ms)
        else:
            await self._judge(range(JUDGED), name)
            found = await self._killed_in(step, service, name, since_ms)
        turn = await self._ends(name)
        self.turns.append(turn)
        return await self._looked_at(turn, service, step, found, clock.monotonic_s() - began_s)

    async def _judge(self, numbers: range, tag: str) -> None:
        answers = [await self.customers.ask(f"What costs article {number}?") for number in numbers]
        for answer in answers:
            await self.customers.judge(answer, tag)

    async def _die(self, service: str) -> None:
        process = self.processes[service]
        await process.end(signal.SIGKILL)
        await process.start()

    async def _killed_in(self, step: str, service: str, name: str, since_ms: int) -> str:
        """The state that the turn was in when the service was killed."""
        if step == "selecting":
            async with self._no_builds():
                await self._apply(name, since_ms)
                turn = await self._reaches(name, TurnState.SELECTING)
                await self.processes[service].end(signal.SIGKILL)
            await self.processes[service].start()
            return turn.state.value
        await self._apply(name, since_ms)
        if step == "rolling out":
            turn = await self._reaches(name, TurnState.ROLLING_OUT)
            status = await self.platform.rollouts.reaches(turn.rollout, RolloutState.RUNNING)
            async with self.customers.flow():
                await self._die(service)
                await self._ends(name)
            return f"{turn.state.value}, {status.rollout.state.value}"
        turn = await self._reaches(name, TurnState.TRAINING)
        if step == "measuring":
            await holds(self.desk, HELD)
        else:
            await self.platform.trainer.reaches(turn.job, JobState.RUNNING, step=3)
        job = await self.platform.trainer.show(turn.job)
        await self.processes[service].end(signal.SIGKILL)
        self.desk.release()
        self.platform.trainers.behave(really_evaluates=True)
        await self.processes[service].start()
        return f"{turn.state.value}, its job {job.state.value}"

    @asynccontextmanager
    async def _no_builds(self) -> AsyncIterator[None]:
        """Orders of data sets wait in the database."""
        database = Database(self.platform.feedbacks.database)
        try:
            async with database.begin() as connection:
                await connection.execute(text("lock table feedback.dataset_jobs in share mode"))
                yield
        finally:
            await database.close()

    async def _apply(self, name: str, since_ms: int) -> None:
        declared = self.platform.loop
        selection = msgspec.structs.replace(declared.selection, since_ms=since_ms, tags=(name,))
        loop = msgspec.structs.replace(declared, name=name, selection=selection)
        await self.platform.rollouts.call("loop_apply", ApplyLoop(loop=loop, author="ann"))

    async def _reaches(self, name: str, *states: TurnState) -> Turn:
        async def there() -> Turn | None:
            turns: tuple[Turn, ...] = (await self.platform.rollouts.call("turn_list", FindTurns(loop=name))).turns
            if not turns:
                return None
            assert turns[-1].state not in TURN_ENDED - set(states), turns[-1].reason
            ordered = {TurnState.TRAINING: turns[-1].job, TurnState.ROLLING_OUT: turns[-1].rollout}
            is_ready = bool(ordered.get(turns[-1].state, turns[-1].id))
            return turns[-1] if turns[-1].state in states and is_ready else None

        return await eventually(there, timeout_s=PATIENCE_S, what=f"a turn of {name} in {states}")

    async def _ends(self, name: str) -> Turn:
        """Its one turn when it is promoted; until then customers ask and judge what is rolled out."""
        await self._reaches(name, TurnState.ROLLING_OUT, TurnState.PROMOTED)
        async with self.customers.flow():
            return await self._reaches(name, TurnState.PROMOTED)

    async def _looked_at(self, turn: Turn, service: str, step: str, found: str, seconds: float) -> Killed:
        """Everything that there is belongs to one of the turns so far, and each of them has one of each."""
        whole = self.platform
        builds = [one.id for one in (await whole.feedback.call("dataset_list", ListJobs())).jobs]
        trainings = [one.id for one in (await whole.trainer.call("job_list", FindJobs(kind=JobKind.TRAINING))).jobs]
        rollouts = [one.turn for one in (await whole.rollouts.call("rollout_list", FindRollouts())).rollouts]
        versions = (await whole.models.call("version_list", ListVersions(kind=Kind.REPORT, limit=200))).versions
        reports = [full_reference(one.name, one.digest) for one in versions]
        moves = await whole.around.moves()
        made = [one.version.rpartition(":")[2] for one in self.turns]
        assert sorted(builds) == sorted(one.dataset_job for one in self.turns)
        assert sorted(trainings) == sorted(one.job for one in self.turns)
        assert sorted(rollouts) == sorted(one.id for one in self.turns)
        assert sorted(reports) == sorted(one.report for one in self.turns)
        assert len(moves) == len(made) + 1
        assert all(digest.startswith(one) for digest, one in zip(moves[1:], made, strict=True))
        assert turn.signals == JUDGED
        assert await self._said(turn) == ORDER
        assert await self._recorded() == self.customers.judged
        return Killed(
            service=service, step=step, found=found, end=turn.state.value,
            datasets=builds.count(turn.dataset_job), trainings=trainings.count(turn.job),
            reports=reports.count(turn.report), rollouts=rollouts.count(turn.id),
            moves=sum(digest.startswith(made[-1]) for digest in moves), seconds=seconds,
        )  # fmt: skip

    async def _said(self, turn: Turn) -> list[TurnState]:
        """The states of the turn that were announced, in order."""

        async def all_said() -> list[TurnState] | None:
            events = await stream_messages(self.platform.ground.nats, "EVT_ROLLOUT")
            turns = [
                msgspec.json.decode(event.data or b"", type=TurnChanged).turn
                for event in events
                if event.subject == subjects.TURN_CHANGED
            ]
            states = [one.state for one in turns if one.id == turn.id]
            return states if states[-1:] == ORDER[-1:] else None

        return await eventually(all_said, timeout_s=PATIENCE_S, what="the last event of the turn")

    async def _recorded(self) -> int:
        """How many judgements feedback has, when it has them all."""

        async def count() -> int | None:
            found: Statistics = await self.platform.feedback.call("statistics", StatisticsQuery(tenant=TENANT))
            total = sum(row.thumbs_up for row in found.rows)
            return total if total >= self.customers.judged else None

        return await eventually(count, timeout_s=PATIENCE_S, what="all judgements")


def _write_exam(directory: Path) -> Path:
    directory.mkdir()
    asked = [f"Which colour has item {number}?" for number in range(QUESTIONS)]
    rows = [
        {"id": str(number), "messages": [{"role": "user", "content": one}], "reference": f"So it is: {one}"}
        for number, one in enumerate(asked)
    ]
    (directory / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return directory


async def _declare(platform: Platform, models: RegistryDesk) -> None:
    """A gate that an equal version passes, on questions that the workers can answer."""
    directory = _write_exam(platform.ground.directory / "exam")
    exam = await models.publish(directory, "exam", Kind.DATASET, annotations={"shape": "evaluation"})
    rule = Rule(metric="shop/exact_match", kind="not_worse", margin=0.2)
    platform.loop = msgspec.structs.replace(
        platform.loop,
        evaluation=EvaluationPlan(
            tasks=(Task(name="shop", dataset=exam.reference),), temperatures=(0.0,), gate=Gate(rules=(rule,))
        ),
    )


@asynccontextmanager
async def whole_platform(ground: RolloutGround, registry_ground: RegistryGround) -> AsyncIterator[Whole]:
    """Everything as processes, started, and ended with the block."""
    async with AsyncExitStack() as stack:
        registry = await stack.enter_async_context(registry_process(registry_ground))
        models = await stack.enter_async_context(registry_ground.desk())
        around = await stack.enter_async_context(world(ground, models))
        around.traffic.per_beat = 0
        desk = await stack.enter_async_context(served(ground.nats, around.workers))
        platform = await stack.enter_async_context(platform_of(ground, models, around))
        await _declare(platform, models)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        gateway = ServiceProcess("gateway", ground.directory, _gateway_environment(ground, port))
        feedback = ServiceProcess("feedback", ground.directory, platform.feedbacks.environment(build_s=0.1))
        rollout = ground.process(lease_s=5.0)
        for process in (gateway, feedback, rollout):
            await stack.enter_async_context(running(process))
        settings = {**platform.trainer_settings(), "gateway_url": f"{url}/v1"}
        trainer = await stack.enter_async_context(trainer_process(platform.trainers, lease_s=15.0, **settings))
        people = await stack.enter_async_context(customers(url, KEY, NAME))
        processes: dict[str, ServiceProcess | TrainerProcess] = {
            "registry": registry, "gateway": gateway, "trainer": trainer, "feedback": feedback, "rollout": rollout,
        }  # fmt: skip
        yield Whole(platform, processes, desk, people)


def _gateway_environment(ground: RolloutGround, port: int) -> dict[str, str]:
    return {
        **ground.nats.environment("GATEWAY_NATS__", "gateway"),
        "GATEWAY_PORT": str(port),
        "GATEWAY_API_KEYS_FILE": str(ground.directory / "keys"),
        "GATEWAY_CAPTURE_CONTENT": "true",
    }
