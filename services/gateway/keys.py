"""Follows the identity service's keys, so that every one is decided in this process's memory."""

import asyncio
from typing import Final

import msgspec
import structlog

from libs.contracts import subjects
from libs.contracts.identity import KeyChanges, KeyRecord, KeysRevision, KeysSince
from libs.kit.bus import BusClient, Message
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from services.gateway.identity import Keyring

log = structlog.get_logger(__name__)

_PAGE: Final = 500
_decode = msgspec.json.Decoder(KeysRevision).decode


class KeyFollower:
    """Asks for what changed whenever the service says that something has; while it is away, keys stay as they were."""

    def __init__(self, keyring: Keyring, identity: Caller) -> None:
        """Know nothing yet."""
        self.is_read = False
        """Whether all keys were read once."""
        self.keyring = keyring
        keyring.is_whole = False
        self._identity = identity
        self._store, self._revision = "", 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, bus: BusClient) -> None:
        """Listen, and ask."""
        bus.subscribe(subjects.KEYS, self._on_revision)
        self._task = asyncio.create_task(self._follow(), name="keys")

    async def stop(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hear(self, newest: KeysRevision) -> None:
        """The service has said what its newest revision is.

        A lower one than is known is that of a store which was restored; asked about it, the service answers whole.
        """
        if not self.is_read or newest.store != self._store or newest.revision != self._revision:
            self._news.set()

    async def catch_up(self) -> None:
        """Ask for every change since the last one that is known.

        Raises:
            ServiceError: the service is away, or its answer cannot be read; what was taken in until then stays.
        """
        store, revision = self._store, self._revision
        whole: list[KeyRecord] | None = None
        """Held back while a complete list is being read, so that no key is refused meanwhile."""
        has_more = True
        while has_more:
            page: KeyChanges = await self._identity.call("keys_since", KeysSince(store, revision, _PAGE))
            if page.is_whole or page.store != store:
                whole = []
            elif page.has_more and page.revision <= revision:
                raise ServiceError("internal_error", "The identity service's pages of keys do not go on.")
            store, revision, has_more = page.store, page.revision, page.has_more
            if whole is None:
                self.keyring.change(page.records)
                self._revision = revision
            else:
                whole.extend(page.records)
        if whole is not None:
            self.keyring.replace(whole)
        self._store, self._revision, self.is_read = store, revision, True
        log.info("keys are known", store=store, revision=revision, keys=len(self.keyring), whole=whole is not None)

    async def _follow(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            try:
                await self.catch_up()
            except ServiceError as error:
                # The service says its revision each second: that is when it is asked again.
                log.warning("keys could not be read", code=error.code, error=error.message)

    def _on_revision(self, message: Message) -> None:
        try:
            self.hear(_decode(message.payload))
        except msgspec.DecodeError as error:
            log.error("not a revision of keys", error=str(error))
