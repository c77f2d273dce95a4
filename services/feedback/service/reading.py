"""Looking at interactions and dead letters."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row

from libs.contracts.feedback import (
    DeadLetter,
    DeadLetterPage,
    Interaction,
    InteractionPage,
    ListDeadLetters,
    ListInteractions,
    ShowInteraction,
    Signal,
)
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from libs.kit.signals import request_id_of
from services.feedback.repository import reading

_MAX_LIMIT: Final = 200
_PAGE_BYTES: Final = 900_000
"""A page must fit into one message."""
_LETTER_CHARS: Final = 4_000
_PREFIXES: Final = {
    "/v1/chat/completions": "chatcmpl-",
    "/v1/completions": "cmpl-",
    "/v1/responses": "resp_",
    "/v1/messages": "chatcmpl-",
}
"""As the engine names its answers; messages have the id of the chat completion behind them."""
_NULL: Final = msgspec.Raw(b"null")


class Reading:
    """Answers questions; changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: ListInteractions) -> InteractionPage:
        """A page of interactions, newest first; as many as fit into a message.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        wanted = msgspec.structs.replace(wanted, limit=_limit(wanted.limit))
        async with self._database.begin() as connection:
            rows = await reading.newest(connection, wanted, _cursor(wanted.before))
            signals = await reading.signals_of(connection, [(row.tenant, row.request_id) for row in rows])
        page: list[Interaction] = []
        size = 0
        for row in rows:
            one = _interaction(row, signals.get((row.tenant, row.request_id), []))
            size += len(msgspec.json.encode(one))
            if size > _PAGE_BYTES and page:
                break
            page.append(_fitted(one))
        is_last = len(page) == len(rows) and len(rows) < wanted.limit
        last = page[-1] if page else None
        return InteractionPage(tuple(page), "" if is_last or last is None else f"{last.time_ms}-{last.request_id}")

    async def show(self, wanted: ShowInteraction) -> Interaction:
        """One interaction with every signal on it, as far as they fit into a message.

        Raises:
            ServiceError: `invalid_value`, `interaction_not_found` or `storage_unavailable`.
        """
        request_id = request_id_of(wanted.id)
        async with self._database.begin() as connection:
            row = await reading.one(connection, wanted.tenant, request_id)
            if row is None:
                raise ServiceError("interaction_not_found", f"There is no interaction `{wanted.id[:80]}`.", param="id")
            signals = await reading.signals_of(connection, [(row.tenant, row.request_id)])
        return _fitted(_interaction(row, signals.get((row.tenant, row.request_id), [])))

    async def dead_letters(self, wanted: ListDeadLetters) -> DeadLetterPage:
        """A page of what could not be taken in, newest first; of a long message its beginning.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = _limit(wanted.limit)
        async with self._database.begin() as connection:
            rows = await reading.letters(connection, _cursor(wanted.before), limit)
        letters = tuple(
            DeadLetter(
                id=row.id,
                time_ms=row.time_ms,
                code=row.code,
                reason=row.reason,
                payload=row.payload[:_LETTER_CHARS].decode(errors="replace"),
            )
            for row in rows
        )
        following = f"{letters[-1].time_ms}-{letters[-1].id}" if len(letters) == limit else ""
        return DeadLetterPage(letters, following)


def _interaction(row: Row[Any], signals: "list[Signal]") -> Interaction:
    return Interaction(
        request_id=row.request_id,
        inference_id=f"{_PREFIXES.get(row.route, '')}{row.request_id}",
        tenant=row.tenant,
        time_ms=row.time_ms,
        model=row.model,
        model_version=row.model_version,
        outcome=row.outcome,
        route=row.route,
        episode_id=row.episode_id,
        user=row.end_user,
        prompt_tokens=row.prompt_tokens,
        completion_tokens=row.completion_tokens,
        first_byte_ms=row.first_byte_ms,
        total_ms=row.total_ms,
        messages=_raw(row.messages),
        answer=_raw(row.answer),
        erased=row.erased_ms is not None,
        signals=tuple(signals),
    )


def _raw(text: str | None) -> msgspec.Raw:
    return _NULL if text is None else msgspec.Raw(text.encode())


def _fitted(one: Interaction) -> Interaction:
    """The same where it fits into a page; else with the newest signals that do, and without its text if need be."""
    if len(msgspec.json.encode(one)) <= _PAGE_BYTES:
        return one
    bare = msgspec.structs.replace(one, signals=(), partial=True)
    if len(msgspec.json.encode(bare)) > _PAGE_BYTES:
        bare = msgspec.structs.replace(bare, messages=_NULL, answer=_NULL)
    room_bytes = _PAGE_BYTES - len(msgspec.json.encode(bare))
    kept: list[Signal] = []
    for signal in sorted(one.signals, key=lambda each: (each.time_ms, each.id), reverse=True):
        size = len(msgspec.json.encode(signal)) + 1
        if size <= room_bytes:
            room_bytes -= size
            kept.append(signal)
    return msgspec.structs.replace(bare, signals=tuple(reversed(kept)))


def _limit(asked: int) -> int:
    if asked < 1:
        raise ServiceError("invalid_value", "`limit` must be at least 1.", param="limit")
    return min(asked, _MAX_LIMIT)


def _cursor(text: str) -> tuple[int, str] | None:
    if not text:
        return None
    time, _, rest = text.partition("-")
    if not time.isdecimal() or len(time) > 18 or "\0" in rest:
        raise ServiceError("invalid_value", "`before` must be a page's `next`.", param="before")
    return int(time), rest
