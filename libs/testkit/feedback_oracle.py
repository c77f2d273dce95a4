"""Counts what feedback must hold after a flood of events: rows = unique ids, however often and in whatever order."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from libs.contracts import subjects
from libs.contracts.feedback import Captured, RecordSignal
from libs.contracts.inference import RequestCompleted
from libs.contracts.topology import EVT_FEEDBACK, FEEDBACK_CAPTURED, FEEDBACK_COMPLETED, FEEDBACK_SIGNALS
from libs.kit import clock
from libs.kit.bus import BusError
from libs.kit.errors import ServiceError
from libs.testkit.feedback import FeedbackDesk, Rows, captured, completed, new_signal

Message = RequestCompleted | Captured | RecordSignal

_RETRY_S: Final = 0.2
TABLES: Final = ("interactions", "contents", "signals", "inbox")


@dataclass
class FeedbackOracle:
    """A flood of `events` messages from a seed, some of them repeats, none in order, and what must come of it.

    Attributes:
        events: how many messages, repeats included.
        repeats: share of messages that were said before, under another message id.
        reach: how far a message may be from its place, in messages.
        seed: the same seed makes the same flood.
        start_ms: when the first request ended; old enough for what comes after it not to lie in the future.
    """

    events: int
    repeats: float = 0.1
    reach: int = 2_000
    seed: int = 0
    start_ms: int = field(default_factory=lambda: clock.unix_ms() - 3_600_000)
    said: dict[str, set[str]] = field(default_factory=lambda: {name: set() for name in TABLES})

    def messages(self) -> Iterator[tuple[str, Message]]:
        """Message ids and messages; what each must leave behind is noted as it is given out."""
        chance = clock.seeded_random(self.seed)
        held: list[Message] = []
        count = 0
        fresh = self._fresh(chance)
        recent: list[Message] = []
        while count < self.events:
            while len(held) < self.reach:
                held.append(next(fresh))
            if recent and chance.random() < self.repeats:
                message = chance.choice(recent)
            else:
                message = held.pop(chance.randrange(len(held)))
                if len(recent) < self.reach:
                    recent.append(message)
                else:
                    recent[chance.randrange(self.reach)] = message
            self._note(message)
            count += 1
            yield f"{self.seed}-{count}", message
        # A signal whose interaction was held back would wait for ever.
        for message in held:
            if isinstance(message, RequestCompleted) and message.request_id not in self.said["interactions"]:
                self._note(message)
                yield f"{self.seed}-{message.id}", message

    def _fresh(self, chance: random.Random) -> Iterator[Message]:
        """Interactions, half of them with content, and two judgements of different raters for each."""
        number = 0
        while True:
            number += 1
            request_id = f"{chance.getrandbits(96):024x}"
            done = completed(request_id, time_ms=self.start_ms + number, episode_id=f"e{number // 4}")
            yield done
            if number % 2:
                yield captured(done, question=f"Question {number}?", answer=f"Answer {number}.")
            for rater in ("ann", "bob"):
                yield new_signal(
                    request_id,
                    id=f"sig_{chance.getrandbits(96):024x}",
                    value=chance.random() < 0.7,
                    time_ms=self.start_ms + number,
                    rater=f"{rater}-{number}",
                )

    def _note(self, message: Message) -> None:
        if isinstance(message, RecordSignal):
            self.said["signals"].add(message.id)
            self.said["inbox"].add(message.id)
        elif isinstance(message, Captured):
            self.said["contents"].add(message.completed.request_id)
            self.said["interactions"].add(message.completed.request_id)
        else:
            self.said["interactions"].add(message.request_id)

    async def check(self, rows: Rows) -> None:
        """Compare every table with what was said, id by id.

        Raises:
            AssertionError: something is missing, or is there twice, or came from nowhere.
        """
        columns = {"interactions": "request_id", "contents": "request_id", "signals": "id", "inbox": "id"}
        for table, column in columns.items():
            found = [row["id"] for row in await rows.fetch(f"select {column} as id from feedback.{table}")]  # noqa: S608 - fixed names
            unique = set(found)
            assert len(found) == len(unique), f"{table}: {len(found) - len(unique)} rows too many"
            lost, strange = self.said[table] - unique, unique - self.said[table]
            assert not lost, f"{table}: {len(lost)} of {len(self.said[table])} are missing"
            assert not strange, f"{table}: {len(strange)} came from nowhere"
        assert await rows.count("standing") == len(self.said["signals"])
        for table in ("dead_letters", "pending_signals", "outbox"):
            assert await rows.count(table) == 0, table

    async def has_all(self, rows: Rows) -> bool:
        """Whether as many rows are there as must be, and nothing waits."""
        try:
            counts = {table: await rows.count(table) for table in (*TABLES, "outbox", "pending_signals")}
        except ServiceError:
            # The database is away in the middle of the test.
            return False
        expected = {table: len(ids) for table, ids in self.said.items()}
        return counts == {**expected, "outbox": 0, "pending_signals": 0}


async def insist(desk: FeedbackDesk, batch: list[tuple[str, Message]]) -> None:
    """Say these until the bus has stored all of them, however long it is away."""
    while True:
        try:
            return await desk.say_as(batch)
        except BusError:
            await asyncio.sleep(_RETRY_S)


async def announced(jetstream: Any) -> list[str]:
    """The message ids of the judgements that feedback announced, in order."""
    info = await jetstream.stream_info(EVT_FEEDBACK.name)
    ids = []
    for sequence in range(info.state.first_seq, info.state.last_seq + 1):
        message = await jetstream.get_msg(EVT_FEEDBACK.name, sequence)
        if message.subject == subjects.SIGNAL_RECORDED:
            ids.append(message.headers["Nats-Msg-Id"])
    return ids


async def unsettled(jetstream: Any) -> int:
    """How many messages are not acknowledged, over all of feedback's consumers."""
    infos = [
        await jetstream.consumer_info(one.stream, one.durable)
        for one in (FEEDBACK_COMPLETED, FEEDBACK_CAPTURED, FEEDBACK_SIGNALS)
    ]
    return sum(info.num_pending + info.num_ack_pending for info in infos)
