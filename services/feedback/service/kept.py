"""Dead letters as operators look at them, have them taken in after all, or drop them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import structlog

from libs.contracts.letters import FindLetters, LetterPage, LetterPlace, LetterText
from libs.contracts.letters import Letter as Told
from libs.contracts.topology import FEEDBACK_CAPTURED, FEEDBACK_COMPLETED, FEEDBACK_SIGNALS
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.feedback.repository import erasures, letters
from services.feedback.repository.bulk import CollisionError, Connection, collisions
from services.feedback.repository.letters import Kept
from services.feedback.service.letters import Letter

log = structlog.get_logger(__name__)

_CONSUMERS: Final = {each.filter_subject: each for each in (FEEDBACK_COMPLETED, FEEDBACK_CAPTURED, FEEDBACK_SIGNALS)}
_MAX_PAGE: Final = 200
_MAX_TEXT: Final = 200_000
_MAX_REASON: Final = 500
_MAX_PLACE: Final = (1 << 63) - 1
_TRIES: Final = 20


class Retaken(NamedTuple):
    """A letter that was taken in, in a transaction that is not over yet."""

    waits: bool
    """For what it refers to."""
    done: Callable[[], None]
    """To be called when the transaction is over and good."""


Retake = Callable[[Connection, Letter], Awaitable[Retaken]]
"""Takes one message in, within the transaction of its caller; raises what still keeps it out."""


class KeptLetters:
    """A `libs.kit.operators.LetterKeeper` of what feedback keeps in its database."""

    is_used = True

    def __init__(self, database: Database, ways: Mapping[str, Retake]) -> None:
        """Prepare; `ways` has, for each subject that feedback listens to, how its messages are taken in."""
        self._database = database
        self._ways = ways

    def start(self) -> None:
        """Nothing has to be begun."""

    async def page(self, wanted: FindLetters) -> LetterPage:
        """Dead letters, oldest first."""
        limit = min(max(1, wanted.limit), _MAX_PAGE)
        after = min(max(0, wanted.after), _MAX_PLACE)
        async with self._database.begin_bulk() as connection:
            found = await letters.page(connection, after, limit + 1)
        following = found[limit - 1].place if len(found) > limit else 0
        return LetterPage(tuple(map(_told, found[:limit])), following)

    async def show(self, wanted: LetterPlace) -> Told:
        """One dead letter, without its words."""
        kept, _ = await self._find(wanted.place)
        return _told(kept)

    async def read(self, wanted: LetterPlace) -> LetterText:
        """One dead letter, with its words."""
        kept, words = await self._find(wanted.place)
        return LetterText(_told(kept), words[:_MAX_TEXT].decode(errors="replace"))

    async def replay(self, wanted: LetterPlace) -> Told:
        """Take it in, as if it came once more, and forget it in the same transaction.

        Raises:
            ServiceError: `not_found`; `conflict`, it still cannot be taken in, and stays; `storage_unavailable`.
        """
        try:
            kept, taken = await self._insist(wanted.place)
        except ServiceError as error:
            if error.code == "not_found" or error.spec.kind == "server_error":
                raise
            raise _still(error.message) from error
        except Exception as error:
            log.warning("a dead letter cannot be taken in", place=wanted.place, exc_info=True)
            raise _still(f"{type(error).__name__}: {str(error)[:_MAX_REASON]}") from error
        taken.done()
        log.info("dead letter taken in", place=wanted.place, letter=kept.id, waits=taken.waits, author=wanted.author)
        return _told(kept, waits=taken.waits)

    async def drop(self, wanted: LetterPlace) -> Told:
        """Forget it for good."""
        async with self._database.begin_bulk() as connection:
            kept = await letters.remove(connection, _checked(wanted.place))
        if kept is None:
            raise _nothing(wanted.place)
        log.info("dead letter dropped", place=wanted.place, letter=kept.id, author=wanted.author)
        return _told(kept)

    async def _find(self, place: int) -> tuple[Kept, bytes]:
        async with self._database.begin_bulk() as connection:
            found = await letters.read(connection, _checked(place))
        if found is None:
            raise _nothing(place)
        return found

    async def _insist(self, place: int) -> tuple[Kept, Retaken]:
        for _ in range(_TRIES):
            try:
                return await self._attempt(_checked(place))
            except CollisionError:
                continue
        raise ServiceError("storage_unavailable", "Others write about the same thing all the time; try again.")

    async def _attempt(self, place: int) -> tuple[Kept, Retaken]:
        with collisions():
            async with self._database.begin_bulk() as connection:
                # What is erased meanwhile would be missed where it goes from one table to another.
                await erasures.hold_off(connection)
                found = await letters.claim(connection, place)
                if found is None:
                    raise _nothing(place)
                kept, words = found
                if not words:
                    raise ServiceError("conflict", "it is empty, or what it said was erased; drop it.")
                taken = await self._ways[kept.subject](connection, Letter(kept.id, kept.subject, words))
                await letters.remove(connection, place)
        return kept, taken


def _checked(place: int) -> int:
    if not 0 < place <= _MAX_PLACE:
        raise _nothing(place)
    return place


def _nothing(place: int) -> ServiceError:
    return ServiceError("not_found", f"The feedback service has no dead letter {place}.")


def _still(reason: str) -> ServiceError:
    return ServiceError("conflict", f"It still cannot be taken in: {reason}")


def _told(kept: Kept, *, waits: bool = False) -> Told:
    consumer = _CONSUMERS[kept.subject]
    return Told(
        id=f"feedback-{kept.place}",
        service="feedback",
        consumer=consumer.durable,
        stream=consumer.stream,
        subject=kept.subject,
        message_id=kept.message_id,
        reason=f"{kept.code}: {kept.reason}",
        time_ms=kept.time_ms,
        stored_ms=0,
        size_bytes=kept.size_bytes,
        digest=kept.digest,
        waits=waits,
    )
