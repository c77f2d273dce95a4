"""Sends what is due, again and again with growing pauses, until it is taken or given up."""

import asyncio
import random
from collections import Counter
from typing import Any, Final

import msgspec
import structlog
from sqlalchemy import Row

from libs.contracts.webhooks import DeliveryState
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.postgres import Database
from services.events.metrics import ATTEMPT_S, ATTEMPTS
from services.events.settings import Settings
from services.events.webhooks import due, rows
from services.events.webhooks.sending import Attempt, Outcome, Sender

log = structlog.get_logger(__name__)

_MOST: Final = 64
"""Attempts that one process makes at the same time."""
_SLACK_S: Final = 15.0
"""Beyond the time that an attempt may take; then its process is taken for dead."""
_GROWTH: Final = 4
_JITTER: Final = 0.2
_DAY_MS: Final = 86_400_000


class Deliverer:
    """Claims deliveries for a while; one whose process died is claimed again, so a receiver may hear an event twice."""

    def __init__(self, database: Database, sender: Sender, settings: Settings, wake: asyncio.Event) -> None:
        self._database = database
        self._sender = sender
        self._settings = settings
        self._wake = wake
        self._running: dict[asyncio.Task[None], Row[Any]] = {}

    async def look(self) -> int:
        """Begin attempts of what is due; how many.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        room = _MOST - len(self._running)
        if room <= 0:
            return 0
        now_ms = clock.unix_ms()
        busy = Counter(row.webhook for row in self._running.values())
        async with self._database.begin() as connection:
            claimed = await due.claim(
                connection,
                now_ms=now_ms,
                lost_ms=now_ms + int((self._settings.hook_timeout_s + _SLACK_S) * 1_000),
                each=self._settings.hooks_at_once,
                most=room,
                busy=msgspec.json.encode(busy).decode(),
            )
        for row in claimed:
            task = asyncio.create_task(self._deliver(row), name=f"delivery-{row.sequence}")
            self._running[task] = row
            task.add_done_callback(self._ended)
        return len(claimed)

    async def expire(self) -> int:
        """Forget deliveries that are over for long; always 0, for nothing is left to do at once.

        Raises:
            ServiceError: `storage_unavailable`.
        """
        async with self._database.begin() as connection:
            await due.expire(connection, clock.unix_ms() - int(self._settings.keep_days * _DAY_MS))
        return 0

    async def stop(self) -> None:
        """Break off what is under way; another process, or the next, does it again at once."""
        broken = dict(self._running)
        for task in broken:
            task.cancel()
        await asyncio.gather(*broken, return_exceptions=True)
        left = [row.sequence for task, row in broken.items() if task.cancelled()]
        try:
            if left:
                async with self._database.begin() as connection:
                    await due.give_back(connection, left, clock.unix_ms())
        except ServiceError as error:
            log.info("what was broken off is sent again later", reason=error.message)
        await self._sender.close()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._wake.set()

    async def _deliver(self, row: Row[Any]) -> None:
        try:
            with ATTEMPT_S.time():
                outcome = await self._sender.send(_attempt(row))
            await self._settle(row, outcome)
        except ServiceError as error:
            log.warning("an attempt is not on record and is made again", webhook=row.webhook, reason=error.message)
        except Exception:
            # The claim runs out and it is tried again; the log must say why.
            log.exception("attempt crashed", webhook=row.webhook, delivery=row.sequence)

    async def _settle(self, row: Row[Any], outcome: Outcome) -> None:
        now_ms = clock.unix_ms()
        state = _state(row.attempts, outcome, self._settings.hook_attempts)
        values = {
            "state": state.value,
            "status": outcome.status,
            "error": outcome.error,
            "changed_ms": now_ms,
            "next_ms": now_ms + self._pause_ms(row.attempts),
        }
        async with self._database.begin() as connection:
            await due.settle(connection, row.sequence, row.attempts, values)
            if outcome.is_gone:
                gone = {"is_disabled": True, "disabled_reason": outcome.error}
                await rows.change(connection, row.webhook, gone)
        ATTEMPTS.labels("failed" if state is DeliveryState.PENDING else state.value).inc()
        if state is DeliveryState.DEAD:
            log.warning("delivery given up", webhook=row.webhook, delivery=row.sequence, reason=outcome.error)

    def _pause_ms(self, attempts: int) -> int:
        settings = self._settings
        # The exponent is bounded, for the pause is anyway.
        pause_s = min(settings.hook_max_pause_s, settings.hook_pause_s * _GROWTH ** min(attempts - 1, 20))
        return int(pause_s * random.uniform(1 - _JITTER, 1 + _JITTER) * 1_000)  # noqa: S311 - spreads the load


def _state(attempts: int, outcome: Outcome, most: int) -> DeliveryState:
    if outcome.delivered:
        return DeliveryState.DELIVERED
    return DeliveryState.DEAD if attempts >= most or outcome.is_gone else DeliveryState.PENDING


def _attempt(row: Row[Any]) -> Attempt:
    secrets = (row.secret, row.former_secret) if row.rotated_until_ms > clock.unix_ms() else (row.secret,)
    return Attempt(url=row.url, secrets=secrets, event_id=row.event_id, body=row.body.encode())
