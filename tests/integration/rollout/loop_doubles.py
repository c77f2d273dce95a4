"""Services that a loop asks, in this process: they keep what was ordered, and fail when they are told to."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from libs.contracts.calls import Empty
from libs.contracts.datasets import DatasetJob
from libs.contracts.evaluation import Outcome, Verdict
from libs.contracts.feedback import Statistics, StatisticsRow
from libs.contracts.registry import Kind, Manifest, Version, VersionDetails
from libs.contracts.rollouts import Rollout, RolloutState, RolloutStatus
from libs.contracts.training import Job, JobKind, JobState
from libs.kit.errors import ServiceError
from services.rollout.loops.others import Others

CHAMPION: Final = "b" * 64
LOOKS: Final = 2
"""How often one must ask until something has ended."""


class KilledError(BaseException):
    """The process that asked is gone."""


class Doubles:
    """Feedback, trainer, registry and rollouts; what was ordered of them outlives whoever ordered."""

    def __init__(self, faults: Iterator[str]) -> None:
        """Prepare; each call takes the next of `faults`.

        `away`: nothing is done. `lost`: it is done, and nobody hears of it. `before`, `after`: the asker dies.
        """
        self.faults = faults
        self.calls = 0
        self.signals = 5
        self.passes = True
        self.outcome = RolloutState.PROMOTED
        self.busy_looks = 0
        """How often a rollout is refused because another one runs."""
        self.made: Counter[str] = Counter()
        """How often each id came into being; a repeat of an order is none."""
        self.things: dict[str, Any] = {}
        self.looks: Counter[str] = Counter()
        self._operations: dict[str, Callable[[Any], Any]] = {
            "statistics": self._statistics,
            "version_show": self._version,
            "dataset_build": self._build,
            "dataset_cancel": self._cancel_build,
            "training_order": self._train,
            "job_cancel": self._cancel_job,
            "rollout_order": self._roll_out,
            "rollout_abort": self._abort,
            "rollout_show": lambda asked: RolloutStatus(rollout=self._known(asked.id)),
        }

    def others(self) -> Others:
        """As a driver asks them."""
        return Others(feedback=self, trainer=self, registry=self, rollouts=self)

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        """Do it, or what the next fault says."""
        self.calls += 1
        fault = next(self.faults, "")
        if fault == "away":
            raise ServiceError("bus_unavailable", "Nobody is there.")
        if fault == "before":
            raise KilledError
        result = self._operations[operation](request)
        if fault == "after":
            raise KilledError
        if fault == "lost":
            raise ServiceError("trainer_unavailable", "It did not answer in time.")
        return result

    def kinds(self) -> Counter[str]:
        """How many builds, trainings and rollouts there are."""
        return Counter(type(thing).__name__ for thing in self.things.values())

    def _make(self, one: Any) -> Any:
        if one.id not in self.things:
            self.made[one.id] += 1
            self.things[one.id] = one
        self.looks[one.id] += 1
        return self.things[one.id]

    def _known(self, ident: str) -> Any:
        if ident not in self.things:
            raise ServiceError("not_found", f"There is no {ident}.")
        return self.things[ident]

    def _change(self, one: Any, **more: Any) -> Any:
        self.things[one.id] = msgspec.structs.replace(one, **more)
        return self.things[one.id]

    def _statistics(self, _: Any) -> Statistics:
        row = StatisticsRow(group={"model_version": "helpdesk@sha256:0"}, thumbs_up=self.signals)
        elsewhere = StatisticsRow(group={"model_version": "other@sha256:0"}, thumbs_up=1_000)
        return Statistics((row, elsewhere))

    def _version(self, _: Any) -> VersionDetails:
        version = Version(
            reference=f"helpdesk@sha256:{CHAMPION[:12]}",
            name="helpdesk",
            digest=CHAMPION,
            kind=Kind.MODEL,
            number=1,
            size_bytes=1,
            published_ms=1,
            published_by="ann",
        )
        return VersionDetails(version=version, manifest=Manifest(name="helpdesk", kind=Kind.MODEL, files=()))

    def _build(self, order: Any) -> DatasetJob:
        fresh = DatasetJob(id=order.id, state="queued", selection=order.selection, author=order.author, created_ms=1)
        build: DatasetJob = self._make(fresh)
        if build.state == "queued" and self.looks[build.id] > LOOKS:
            build = self._change(build, state="succeeded", reference="lessons@sha256:0123456789ab")
        return build

    def _cancel_build(self, asked: Any) -> Empty:
        build = self._known(asked.id)
        if build.state == "succeeded":
            raise ServiceError("conflict", "It has ended.")
        self._change(build, state="cancelled")
        return Empty()

    def _train(self, order: Any) -> Job:
        fresh = Job(
            id=order.id,
            kind=JobKind.TRAINING,
            state=JobState.QUEUED,
            author=order.author,
            created_ms=1,
            changed_ms=1,
            training=order.plan,
        )
        job: Job = self._make(fresh)
        if job.state is JobState.QUEUED and self.looks[job.id] > LOOKS:
            verdict = Verdict(outcome=Outcome.BETTER, passed=self.passes)
            made = f"helpdesk@sha256:{'c' * 64}"
            job = self._change(job, state=JobState.SUCCEEDED, version=made, report="r", verdict=verdict)
        return job

    def _cancel_job(self, asked: Any) -> Job:
        job: Job = self._known(asked.id)
        if job.state is JobState.SUCCEEDED:
            raise ServiceError("conflict", "It has ended.")
        job = msgspec.structs.replace(job, state=JobState.CANCELLED)
        self.things[job.id] = job
        return job

    def _roll_out(self, order: Any) -> Rollout:
        if order.id not in self.things and self.busy_looks:
            self.busy_looks -= 1
            raise ServiceError("conflict", "Another one runs.")
        fresh = Rollout(
            id=order.id,
            state=RolloutState.RUNNING,
            plan=order.plan,
            author=order.author,
            created_ms=1,
            changed_ms=1,
            turn=order.turn,
        )
        rollout: Rollout = self._make(fresh)
        if rollout.state is RolloutState.RUNNING and self.looks[rollout.id] > LOOKS:
            rollout = self._change(rollout, state=self.outcome, reason="so it is")
        return rollout

    def _abort(self, asked: Any) -> Rollout:
        rollout: Rollout = self._known(asked.id)
        if rollout.state is RolloutState.ABORTED:
            return rollout
        if rollout.state is not RolloutState.RUNNING:
            raise ServiceError("conflict", f"It is {rollout.state.value}.")
        rollout = msgspec.structs.replace(rollout, state=RolloutState.ABORTED)
        self.things[rollout.id] = rollout
        return rollout
