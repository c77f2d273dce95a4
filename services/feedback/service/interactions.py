"""Keeping what was asked and answered: one transaction per batch of events, in whatever order they come."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import msgspec

from libs.contracts.feedback import Captured, ContentPolicy
from libs.contracts.inference import RequestCompleted
from libs.kit import clock
from libs.kit.dialogue import answers
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.feedback.metrics import died, kept
from services.feedback.repository import erasures, interactions
from services.feedback.repository.bulk import CollisionError, Connection, collisions
from services.feedback.repository.interactions import Content
from services.feedback.service.kept import Retaken
from services.feedback.service.letters import Bad, Letter, bury, read

_completed = msgspec.json.Decoder(RequestCompleted)
_captured = msgspec.json.Decoder(Captured)
_FROM_CLIENTS: Final = ("model", "user", "episode_id", "client_request_id")
_STRUCTURE: Final = frozenset({"role", "type"})
_NUL: Final = "\0"
_ESCAPED_NUL: Final = rb"\u0000"
"""The only way to write it in JSON."""
_CAREFUL_S: Final = 60.0

Add = Callable[[Connection, list[RequestCompleted]], Awaitable[None]]


class Redact(Protocol):
    """Replaces personal data in a text."""

    def __call__(self, text: str, /) -> str:
        """The text without them."""


class Interactions:
    """The one way in for interactions."""

    def __init__(
        self, database: Database, *, policy: ContentPolicy, redactor: Callable[[], Redact], arrived: Callable[[], None]
    ) -> None:
        """Prepare.

        Args:
            database: where it is kept.
            policy: what is kept.
            redactor: makes a redactor for one interaction.
            arrived: called when signals may have what they wait for.
        """
        self._database = database
        self._policy = policy
        self._redactor = redactor
        self._arrived = arrived
        self._careful_until_s = 0.0
        """Until then batches are written so that they stand repeats, which costs more."""

    async def take_completed(self, batch: list[Letter]) -> None:
        """Keep who asked which version, when, and at what cost.

        Raises:
            ServiceError: `storage_unavailable`; then nothing is known to have happened.
            CollisionError: others wrote the same rows; do it again.
        """
        found, bad = _read_all(batch, _completed)
        await self._write([_plain(one, letter) for letter, one in found], [], bad)

    async def take_captured(self, batch: list[Letter]) -> None:
        """Keep what was said, as far as the policy allows; raises as `take_completed`."""
        found, bad = _read_all(batch, _captured)
        contents = [self._content(one) for _, one in found] if self._keeps_text else []
        await self._write([_plain(one.completed, letter) for letter, one in found], contents, bad)

    async def retake_completed(self, connection: Connection, letter: Letter) -> Retaken:
        """Keep what a dead letter says of a request; raises `ServiceError` if it cannot be read now, either."""
        return await self._retake(connection, [_plain(read(letter, _completed), letter)], [])

    async def retake_captured(self, connection: Connection, letter: Letter) -> Retaken:
        """Keep what a dead letter says that was said; raises as `retake_completed`."""
        captured = read(letter, _captured)
        contents = [self._content(captured)] if self._keeps_text else []
        return await self._retake(connection, [_plain(captured.completed, letter)], contents)

    async def _retake(
        self, connection: Connection, completed: list[RequestCompleted], contents: list[Content]
    ) -> Retaken:
        if self._policy is ContentPolicy.OFF:
            return Retaken(waits=False, done=lambda: None)
        await interactions.add(connection, completed)
        await interactions.add_contents(connection, contents)

        def done() -> None:
            kept(completed=len(completed), contents=len(contents))
            self._arrived()

        return Retaken(waits=False, done=done)

    @property
    def _keeps_text(self) -> bool:
        return self._policy in (ContentPolicy.REDACTED, ContentPolicy.FULL)

    async def _write(self, completed: list[RequestCompleted], contents: list[Content], bad: list[Bad]) -> None:
        if self._policy is ContentPolicy.OFF:
            completed, contents = [], []
        if not completed and not bad:
            return
        if clock.monotonic_s() >= self._careful_until_s:
            try:
                await self._record(interactions.append, completed, contents, bad)
            except CollisionError:
                # Repeats seldom come alone: after a fault, or where both events of a request are said.
                self._careful_until_s = clock.monotonic_s() + _CAREFUL_S
            else:
                return
        await self._record(interactions.add, completed, contents, bad)

    async def _record(
        self, add: Add, completed: list[RequestCompleted], contents: list[Content], bad: list[Bad]
    ) -> None:
        with collisions():
            async with self._database.begin_bulk() as connection:
                await erasures.hold_off(connection)
                await add(connection, completed)
                await interactions.add_contents(connection, contents)
                await bury(connection, bad, now_ms=clock.unix_ms())
        kept(completed=len(completed), contents=len(contents))
        died(one.code for one in bad)
        self._arrived()

    def _content(self, captured: Captured) -> Content:
        completed = captured.completed
        messages = answers.asked(completed.route, captured.request)
        answer = answers.answered(completed.route, captured.response)
        redacted = self._policy is ContentPolicy.REDACTED
        if redacted:
            replace = self._redactor()
            messages, answer.message = redact(messages, replace), redact(answer.message, replace)
        return Content(
            request_id=completed.request_id,
            tenant=completed.tenant,
            time_ms=completed.time_ms,
            messages=msgspec.json.encode(messages).decode(),
            answer=msgspec.json.encode(answer.message).decode(),
            truncated=captured.truncated or not answer.whole,
            redacted=redacted,
        )


def redact(value: Any, replace: Redact) -> Any:
    """The same structure with every string in it redacted, except what structure itself says."""
    if isinstance(value, str):
        return replace(value)
    if isinstance(value, list):
        return [redact(one, replace) for one in value]
    if isinstance(value, dict):
        return {key: one if key in _STRUCTURE else redact(one, replace) for key, one in value.items()}
    return value


def _read_all(batch: list[Letter], decoder: "msgspec.json.Decoder[Any]") -> tuple[list[tuple[Letter, Any]], list[Bad]]:
    found, bad = [], []
    for letter in batch:
        try:
            found.append((letter, read(letter, decoder)))
        except ServiceError as error:
            bad.append(Bad(letter, error.code, error.message))
    return found, bad


def _plain(one: RequestCompleted, letter: Letter) -> RequestCompleted:
    """Without the character that PostgreSQL does not hold, where clients may have put it."""
    if _ESCAPED_NUL not in letter.payload:
        return one
    return msgspec.structs.replace(one, **{name: getattr(one, name).replace(_NUL, "") for name in _FROM_CLIENTS})
