"""What a rollout is surrounded by: versions, workers that follow, and a gateway that divides invented traffic."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import Signal, SignalKind, SignalRecorded
from libs.contracts.registry import AliasList, Deploy, Kind, ListAliases, SetAlias, Version
from libs.contracts.rollouts import Guard, Margin, RequestObserved, RolloutPlan, Split, Splits, Step
from libs.contracts.versions import full_reference
from libs.kit import clock
from libs.kit.bus import BusClient, Message
from libs.kit.sticky import is_candidates
from libs.testkit.models import write_adapter, write_model
from libs.testkit.registry import RegistryDesk
from libs.testkit.rollout import RolloutGround
from libs.testkit.wait import until
from tests.integration.registry.followers import Followers, followers

NAME: Final = "helpdesk"
TAGS: Final = ("price", "refund")
PACE_S: Final = 0.1
PER_BEAT: Final = 40
PLAN: Final = RolloutPlan(
    name=NAME,
    candidate=f"{NAME}@3",
    steps=(
        Step(share=0.5, shadow=True, min_s=0, min_requests=20, min_signals=0),
        Step(share=0.3, min_s=0, min_requests=40, min_signals=20),
        Step(share=0.5, min_s=0, min_requests=40, min_signals=20),
    ),
    margins=(
        Margin(guard=Guard.ERROR, margin=0.02),
        Margin(guard=Guard.SLOW_FIRST_TOKEN, margin=0.1),
        Margin(guard=Guard.SLOW_TOKEN, margin=0.1),
        Margin(guard=Guard.ODD_LENGTH, margin=0.2),
        Margin(guard=Guard.DISAPPROVAL, margin=0.05),
    ),
    promotion_margin=0.2,
    min_tag_signals=5,
    watch_s=1.0,
    holdback=0.3,
)


@dataclass(frozen=True)
class Behaviour:
    """How one version answers; shares from 0 to 1."""

    faults: float = 0.0
    first_token_ms: int = 50
    token_ms: int = 10
    tokens: int = 40
    disapproval: float = 0.05
    disapproval_on: dict[str, float] = field(default_factory=dict)
    """By tag, where it is another one."""
    answers: bool = True


@dataclass
class Traffic:
    """A gateway in small: divides by what it hears, under the rule that only the newest epoch is heard."""

    bus: BusClient
    signals: BusClient
    candidate: Behaviour = Behaviour()
    baseline: Behaviour = Behaviour()
    heard: list[Splits] = field(default_factory=list)
    refused: int = 0
    per_beat: int = PER_BEAT
    """Requests of each running rollout, ten times a second."""

    def __post_init__(self) -> None:
        self.rng = clock.seeded_random(1)
        self.requests = 0
        self.bus.subscribe(subjects.SPLITS, self._on_splits)

    def _on_splits(self, message: Message) -> None:
        splits = msgspec.json.decode(message.payload, type=Splits)
        if self.heard and (splits.epoch, splits.sequence) <= (self.heard[-1].epoch, self.heard[-1].sequence):
            self.refused += 1
            return
        self.heard.append(splits)

    @property
    def splits(self) -> tuple[Split, ...]:
        """How requests are divided by now."""
        return self.heard[-1].splits if self.heard else ()

    def serve(self, count: int) -> None:
        """So many requests of every running rollout."""
        for split in self.splits:
            for _ in range(count):
                self._request(split)

    def _request(self, split: Split) -> None:
        self.requests += 1
        request = f"{self.requests:024x}"
        mine = is_candidates(split.rollout, request, split.share)
        if split.shadow or not mine:
            self._answer(split, request, self.baseline, "baseline")
        if mine:
            mirror = f"{request}-m" if split.shadow else request
            self._answer(split, mirror, self.candidate, "candidate", mirror=split.shadow)

    def _answer(self, split: Split, request: str, how: Behaviour, arm: str, *, mirror: bool = False) -> None:
        if not how.answers:
            return
        is_fault = self.rng.random() < how.faults
        tokens = max(1, round(how.tokens * self.rng.uniform(0.8, 1.2)))
        first_ms = round(how.first_token_ms * self.rng.uniform(0.8, 1.2))
        event = RequestObserved(
            id=f"{request}-observed",
            time_ms=clock.unix_ms(),
            request_id=request,
            rollout=split.rollout,
            step=split.step,
            sticky=request[:24],
            arm="candidate" if arm == "candidate" else "baseline",
            model_version=split.candidate if arm == "candidate" else split.baseline,
            outcome="error" if is_fault else "ok",
            mirror=mirror,
            fault=is_fault,
            error_code="engine_error" if is_fault else "",
            first_token_ms=0 if is_fault else first_ms,
            total_ms=first_ms + round(tokens * how.token_ms * self.rng.uniform(0.9, 1.1)),
            completion_tokens=0 if is_fault else tokens,
            stream=True,
            agreement=0.9 if mirror else None,
        )
        self.bus.publish(subjects.OBSERVED, msgspec.json.encode(event))
        if not is_fault and not mirror:
            self.rate(request, how)

    def rate(self, request: str, how: Behaviour) -> None:
        """A thumb on an answer."""
        tag = self.rng.choice(TAGS)
        up = self.rng.random() >= how.disapproval_on.get(tag, how.disapproval)
        self.say_thumb(request, up=up, tags=(tag,))

    def say_thumb(self, request: str, *, up: bool, rater: str = "", tags: tuple[str, ...] = ()) -> None:
        """An explicit thumb of some rater."""
        now_ms = clock.unix_ms()
        signal = Signal(
            id=f"sig_{clock.new_request_id()}",
            tenant="t",
            kind=SignalKind.THUMB,
            value=up,
            time_ms=now_ms,
            recorded_ms=now_ms,
            request_id=request,
            rater=rater or f"user-{self.rng.randrange(1_000)}",
            tags=tags,
        )
        event = SignalRecorded(id=signal.id, time_ms=now_ms, signal=signal)
        self.signals.publish(subjects.SIGNAL_RECORDED, msgspec.json.encode(event))


@dataclass
class World:
    """The champion is version 2 of the name, the candidate version 3; both are adapters of version 1."""

    models: RegistryDesk
    workers: Followers
    traffic: Traffic
    base: Version
    champion: Version
    candidate: Version

    async def aliases(self) -> dict[str, str]:
        """Where every alias of the name points, as whole digests."""
        found: AliasList = await self.models.call("alias_list", ListAliases(NAME))
        return {one.alias: one.digest for one in found.aliases}

    async def moves(self) -> list[str]:
        """Every digest the champion has had, oldest first."""
        found: AliasList = await self.models.call("alias_list", ListAliases(NAME, history_of="champion"))
        return [one.digest for one in reversed(found.aliases)]

    async def point(self, alias: str, version: Version | None) -> None:
        """Move an alias by hand."""
        target = full_reference(version.name, version.digest) if version else ""
        await self.models.call("alias_set", SetAlias(name=NAME, alias=alias, target=target, author="eve"))

    async def publish(self, directory: Path, seed: int) -> Version:
        """One more adapter."""
        written = write_adapter(directory / f"a{seed}", seed)
        base = full_reference(self.base.name, self.base.digest)
        return await self.models.publish(written, NAME, Kind.ADAPTER, base=base)


@asynccontextmanager
async def world(ground: RolloutGround, models: RegistryDesk) -> AsyncIterator[World]:
    """Versions that are published and served by two workers, and traffic that flows until the block ends."""
    base = await models.publish(write_model(ground.directory / "model"), NAME)
    reference = full_reference(base.name, base.digest)
    adapters = [
        await models.publish(write_adapter(ground.directory / f"a{seed}", seed), NAME, Kind.ADAPTER, base=reference)
        for seed in (1, 2)
    ]
    champion = full_reference(NAME, adapters[0].digest)
    await models.call("alias_set", SetAlias(name=NAME, alias="champion", target=champion, author="ann"))
    async with followers(ground.nats, "w0", "w1") as workers, _traffic(ground) as traffic:
        await models.call("deployment_declare", Deploy(pool="default", base=reference, author="ann"))
        await until(lambda: workers.now is not None and NAME in workers.now.names)
        yield World(models, workers, traffic, base, *adapters)


@asynccontextmanager
async def _traffic(ground: RolloutGround) -> AsyncIterator[Traffic]:
    bus, signals = (BusClient(ground.nats.options(user)) for user in ("gateway", "feedback"))
    await bus.connect()
    await signals.connect()
    traffic = Traffic(bus, signals)

    async def flow() -> None:
        while True:
            traffic.serve(traffic.per_beat)
            await asyncio.sleep(PACE_S)

    task = asyncio.create_task(flow())
    try:
        yield traffic
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bus.close()
        await signals.close()


def without_shadow(plan: RolloutPlan = PLAN) -> RolloutPlan:
    """The same, faster."""
    return msgspec.structs.replace(plan, steps=plan.steps[1:])


__all__ = ["NAME", "PLAN", "Behaviour", "Traffic", "World", "replace", "without_shadow", "world"]
