"""Trainers on real servers, in the test's own process or as processes to be killed, and ways to order and look."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from libs.contracts.registry import Kind
from libs.contracts.training import (
    ENDED,
    Job,
    JobLog,
    JobRef,
    JobState,
    OrderTraining,
    ReadLog,
    Recipe,
    TrainingPlan,
)
from libs.kit.bus import BusClient
from libs.kit.settings import PostgresSettings
from libs.kit.trainer_client import BusTrainer
from libs.testkit import fake_trainer
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import ROOT
from libs.testkit.processes import die_with_parent
from libs.testkit.registry import RegistryDesk
from libs.testkit.stores import PostgresServer
from libs.testkit.wait import until
from services.trainer.app import Trainer, build_app
from services.trainer.settings import Settings

PATIENCE_S: Final = 90.0
QUICK: Final = {
    "look_s": 0.1,
    "report_s": 0.02,
    "retry_s": 0.1,
    "wait_s": 0.2,
    "lease_s": 20.0,
    "start_timeout_s": 20.0,
    # On a busy machine an idle process does not come to its turn for minutes.
    "priority": "normal",
    "work_module": "libs.testkit.fake_trainer",
}
"""Settings under which a test need not wait."""


@dataclass
class TrainerGround:
    """The servers that trainers stand on, with a database of the test's own."""

    nats: NatsServer
    postgres: PostgresServer
    database: PostgresSettings
    directory: Path

    def __post_init__(self) -> None:
        self.behaviour = self.directory / "behaviour.json"
        self.behave()

    def behave(self, **how: Any) -> None:
        """Have the processes behave so from here on."""
        fake_trainer.behave(self.behaviour, fake_trainer.Behaviour(**how))

    def _values(self, name: str, more: Mapping[str, Any]) -> dict[str, Any]:
        told = {fake_trainer.VARIABLE: str(self.behaviour)}
        return {**QUICK, "directory": self.directory / name, "work_environment": told, **more}

    def settings(self, name: str = "trainer", **more: Any) -> Settings:
        """For a trainer in this process."""
        return Settings(nats=self.nats.settings("trainer"), database=self.database, **self._values(name, more))

    def environment(self, name: str, **more: Any) -> dict[str, str]:
        """For a trainer that is a process."""
        values = self._values(name, more)
        return {
            **self.nats.environment("TRAINER_NATS__", "trainer"),
            **self.postgres.environment("TRAINER_DATABASE__", self.database),
            **{f"TRAINER_{key.upper()}": _text(value) for key, value in values.items()},
        }

    @asynccontextmanager
    async def trainer(self, name: str = "trainer", **more: Any) -> AsyncIterator[Trainer]:
        """A trainer in this process."""
        app = build_app(self.settings(name, **more))
        try:
            await app.start()
            yield app
        finally:
            await app.stop()

    @asynccontextmanager
    async def desk(self) -> AsyncIterator["TrainerDesk"]:
        """Somebody who orders and asks."""
        bus = BusClient(replace(self.nats.options("provisioner"), inbox_prefix="_INBOX"))
        await bus.connect()
        yield TrainerDesk(bus)
        await bus.close()


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)


@dataclass
class TrainerDesk:
    """Asks whatever trainer listens on a bus."""

    bus: BusClient
    patience_s: float = PATIENCE_S
    client: BusTrainer = field(init=False)

    def __post_init__(self) -> None:
        self.client = BusTrainer(self.bus)

    async def call(self, operation: str, request: Any) -> Any:
        """The operation's result; its fault as a ServiceError."""
        return await self.client.call(operation, request)

    async def train(self, plan: TrainingPlan, job_id: str = "") -> Job:
        """Order a training."""
        job: Job = await self.call("training_order", OrderTraining(plan=plan, author="ann", id=job_id))
        return job

    async def show(self, job_id: str) -> Job:
        """One job as it is."""
        job: Job = await self.call("job_show", JobRef(job_id))
        return job

    async def do(self, verb: str, job_id: str) -> Job:
        """Pause, resume or cancel it."""
        job: Job = await self.call(f"job_{verb}", JobRef(job_id))
        return job

    async def log(self, job_id: str) -> str:
        """The text of its log."""
        found: JobLog = await self.call("job_log", ReadLog(id=job_id))
        return "\n".join(line.text for line in found.lines)

    async def says(self, job_id: str, text: str) -> None:
        """Return when this is in the job's log."""
        async with asyncio.timeout(self.patience_s):
            while text not in await self.log(job_id):  # noqa: ASYNC110 - it is written by the trainer
                await asyncio.sleep(0.02)

    async def reaches(self, job_id: str, *states: JobState, step: int = 0, epoch: int = 0) -> Job:
        """The job as soon as it is in one of these states, has done so many steps and been claimed so often."""
        job = await self.show(job_id)
        async with asyncio.timeout(self.patience_s):
            while job.state not in states or job.progress.step < step or job.epoch < epoch:
                if job.state in ENDED and not (set(states) & ENDED):
                    raise AssertionError(f"{job.state}: {job.error_code} {job.error}")
                await asyncio.sleep(0.02)
                job = await self.show(job_id)
        return job

    async def end(self, job_id: str) -> Job:
        """The job when it has ended."""
        return await self.reaches(job_id, *ENDED)


@dataclass
class Things:
    """What a training needs, published."""

    base: str
    dataset: str

    def plan(self, **more: Any) -> TrainingPlan:
        """A training of ten steps with a checkpoint at every fourth."""
        recipe = Recipe(**{"checkpoint_steps": 4, **more.pop("recipe", {})})
        fields = {"name": "helpdesk", "dataset": self.dataset, "base": self.base, "recipe": recipe, **more}
        return TrainingPlan(**fields)


def write_dataset(directory: Path, rows: int = 5, split: str = "train") -> Path:
    """A data set of shape sft."""
    directory.mkdir(parents=True, exist_ok=True)
    row = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
    text = "".join(json.dumps({**row, "id": number}) + "\n" for number in range(rows))
    (directory / f"{split}.jsonl").write_text(text)
    return directory


async def publish_things(models: RegistryDesk, directory: Path, rows: int = 5) -> Things:
    """Publish a base and a data set of so many rows."""
    base = await models.publish(write_model(directory / "base"), "tiny")
    dataset = await models.publish(
        write_dataset(directory / f"dataset-{rows}", rows), "lessons", Kind.DATASET, annotations={"shape": "sft"}
    )
    return Things(base.reference, dataset.reference)


@dataclass
class TrainerProcess:
    """A trainer as a process, to be killed, stopped for a while, and started again."""

    ground: TrainerGround
    name: str
    settings: Mapping[str, Any]
    process: "subprocess.Popen[bytes] | None" = None
    lives: int = 0

    @property
    def log(self) -> Path:
        """What its present life wrote."""
        return self.ground.directory / f"{self.name}-{self.lives}.log"

    async def start(self) -> None:
        """Start it and wait until it listens."""
        self._spawn()
        await until(self._listens, timeout_s=PATIENCE_S, what="the trainer's start")

    def _spawn(self) -> None:
        self.lives += 1
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services.trainer"],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"], **self.ground.environment(self.name, **self.settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def send(self, how: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(how)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        return await asyncio.to_thread(self.process.wait, PATIENCE_S)

    def _listens(self) -> bool:
        text = self.log.read_text(errors="replace")
        assert self.process is not None
        assert self.process.poll() is None, text[-2_000:]
        return "trainer started" in text


@asynccontextmanager
async def trainer_process(
    ground: TrainerGround, name: str = "trainer", **settings: Any
) -> AsyncIterator[TrainerProcess]:
    """A trainer as a process, started, and ended with the block."""
    process = TrainerProcess(ground, name, settings)
    await process.start()
    try:
        yield process
    finally:
        process.send(signal.SIGCONT)
        await process.end()
