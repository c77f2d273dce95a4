"""Has it recorded who does what through the admin API, before it is done and again when it is answered."""

import dataclasses
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
from starlette.requests import Request

from libs.contracts import subjects
from libs.contracts.audit import Phase, RecordEntry
from libs.contracts.errors import spec_of
from libs.contracts.permissions import Permission
from libs.kit import clock
from libs.kit.bus import BusError
from libs.kit.bus.stored import Event, StoredPublisher
from libs.kit.calls import Caller
from libs.kit.errors import ServiceError
from libs.kit.telemetry import tracing
from services.gateway.identity import Principal
from services.gateway.proxies import Proxies
from services.gateway.routes.endpoints import Asked, Endpoint, read_query

log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_MAX_PATH: Final = 1_000


class _Nothing(msgspec.Struct):
    """No parameter at all."""


class Auditor:
    """Publishes entries; where one cannot be stored, nothing is done."""

    def __init__(
        self,
        publisher: StoredPublisher,
        endpoints: Sequence[Endpoint],
        services: Mapping[str, Caller],
        *,
        prefix: str,
        proxies: Proxies,
    ) -> None:
        """Know by which endpoint each thing can be read, so that it can be told how it was before and after."""
        self._publisher = publisher
        self._services = services
        self._prefix = prefix
        self._proxies = proxies
        self._shows = {endpoint.path: endpoint for endpoint in endpoints if _is_show(endpoint)}

    async def carry_out(
        self,
        endpoint: Endpoint,
        request: Request,
        principal: Principal,
        asked: Asked,
        work: Callable[[], Awaitable[Any]],
    ) -> Any:
        """What `work` gives, recorded if it changes anything or reads words that people wrote.

        Raises:
            ServiceError: that of `work`; `audit_unavailable`: it cannot be recorded, and was not done.
        """
        if endpoint.method == "GET" and endpoint.permission is not Permission.CONTENT_READ:
            return await work()
        show = self._show_of(endpoint) if endpoint.method != "GET" else None
        entry = self._entry(endpoint, request, principal, asked)
        before = await self._digest(show, asked)
        await self._begin(msgspec.structs.replace(entry, before=before))
        status, error, result = 500, "internal_error", None
        try:
            result = await work()
            status, error = endpoint.status, ""
        except ServiceError as fault:
            status, error = spec_of(fault.code).status, fault.code
            raise
        finally:
            after = await self._digest(show, asked) if show is not None else _digest_of(result)
            done = {"phase": Phase.DONE, "time_ms": clock.unix_ms(), "status": status, "error": error}
            await self._end(msgspec.structs.replace(entry, before=before, after=after, **done))
        return result

    def _entry(self, endpoint: Endpoint, request: Request, principal: Principal, asked: Asked) -> RecordEntry:
        peer = request.client.host if request.client is not None else ""
        return RecordEntry(
            id=f"aud_{clock.new_event_id()[-24:]}",
            phase=Phase.ASKED,
            time_ms=clock.unix_ms(),
            author=principal.key_id,
            role=principal.role,
            tenant=principal.reach,
            operation=endpoint.operation,
            object=str(request.scope["path"]).removeprefix(self._prefix)[:_MAX_PATH],
            address=self._proxies.origin(peer, request.headers.getlist("x-forwarded-for")),
            request=_digest_of((asked.query, asked.body)),
        )

    def _show_of(self, endpoint: Endpoint) -> Endpoint | None:
        """The endpoint that reads what this one changes: at the same path, or above it."""
        path = endpoint.path
        while "{" in path:
            if path in self._shows:
                return self._shows[path]
            path = path.rpartition("/")[0]
        return None

    async def _digest(self, show: Endpoint | None, asked: Asked) -> str:
        """Of the thing as it is; empty if there is none, or nothing reads it."""
        if show is None:
            return ""
        query = read_query(show.query or _Nothing, {})
        reading = dataclasses.replace(asked, query=query, body=None, if_match=None, must_be_new=False)
        try:
            result = await self._services[show.service].call(show.operation, show.call(reading))
            return _digest_of(result if show.select is None else show.select(reading, result))
        except ServiceError as error:
            if spec_of(error.code).status != 404:
                log.warning("what is changed cannot be read", operation=show.operation, code=error.code)
            return ""

    async def _begin(self, entry: RecordEntry) -> None:
        try:
            await self._publish(entry)
        except BusError as error:
            text = f"This cannot be recorded in the audit now ({error}), so it was not done; try again."
            raise ServiceError("audit_unavailable", text, retry_after_s=_RETRY_S) from error

    async def _end(self, entry: RecordEntry) -> None:
        try:
            await self._publish(entry)
        except BusError as error:
            # It is done; the entry that was asked for stays without an outcome, and shows that.
            log.error("the outcome is not in the audit", id=entry.id, operation=entry.operation, error=str(error))

    async def _publish(self, entry: RecordEntry) -> None:
        name = f"{entry.id}-{entry.phase}"
        payload = msgspec.json.encode(entry)
        trace = tracing.traceparent()
        await self._publisher.store([Event(name, subjects.RECORD_AUDIT, entry.time_ms, payload, traceparent=trace)])


def _is_show(endpoint: Endpoint) -> bool:
    """Whether it reads one thing, by nothing but its path."""
    if endpoint.method != "GET" or not endpoint.path.endswith("}"):
        return False
    required = [field for field in msgspec.structs.fields(endpoint.query or _Nothing) if field.required]
    return not required


def _digest_of(thing: Any) -> str:
    return "" if thing is None else hashlib.sha256(msgspec.json.encode(thing)).hexdigest()
