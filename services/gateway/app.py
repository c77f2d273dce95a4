"""The composition root: joins the parts."""

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import structlog
from fastapi import Request

from libs.contracts import subjects
from libs.kit import clock
from libs.kit.audit_client import BusAudit
from libs.kit.bus import BusClient
from libs.kit.bus.events import EventPublisher
from libs.kit.bus.stored import StoredPublisher
from libs.kit.discovery import Discovery
from libs.kit.events_client import BusEvents
from libs.kit.feedback_client import BusFeedback
from libs.kit.identity_client import BusIdentity
from libs.kit.operators import ProcessDesk
from libs.kit.registry_client import BusRegistry
from libs.kit.roll_call import RollCall
from libs.kit.rollout_client import BusRollouts
from libs.kit.running_settings import RunningSettings
from libs.kit.scheduler_client import BusScheduler
from libs.kit.telemetry import tracing
from libs.kit.trainer_client import BusTrainer
from services.gateway import asgi_spans, metrics, public
from services.gateway.admin import build_admin, render_service_error
from services.gateway.direct import Direct
from services.gateway.door import Door, has_key_in_query, key_in_url
from services.gateway.endpoint import Endpoint
from services.gateway.fleet import Fleet
from services.gateway.identity import KeyFileError, Keyring, Principal, read_keys
from services.gateway.keys import KeyFollower
from services.gateway.limits.limiter import Limiter
from services.gateway.mirror import Mirror
from services.gateway.operators.desks import operators_desks
from services.gateway.presence import Presence, health_of
from services.gateway.proxies import Proxies
from services.gateway.relay import Relay
from services.gateway.reports import Reports
from services.gateway.routes.api import PREFIX, build_api
from services.gateway.routes.problems import render
from services.gateway.settings import Settings
from services.gateway.signals import Signals
from services.gateway.splits import Divider
from services.gateway.subscriptions.feed import Feed
from services.gateway.subscriptions.routes import add_routes
from services.gateway.watch import Watch
from services.gateway.ways import Ways

log = structlog.get_logger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Gateway:
    """One gateway process: an ASGI application, and the endpoint of the hot paths. Importing it connects to nothing."""

    def __init__(self, settings: Settings) -> None:
        """Join the parts."""
        self.settings = settings
        self.instance = clock.new_instance_id("g")
        keyring = load_keyring(settings)
        self.metrics = metrics.Metrics()
        inbox = subjects.call_inbox("gateway", "").rstrip(".")
        options = settings.nats.options(f"gateway.{self.instance}", inbox_prefix=inbox)
        self.bus = BusClient(options, on_state=self._on_bus)
        self.fleet = Fleet(settings.pool)
        self.direct = Direct(self.fleet, self.instance)
        ways = Ways(self.bus, self.direct, self.metrics)
        self.relay = Relay(
            self.bus,
            self.instance,
            self.metrics,
            ways,
            queue_timeout_s=settings.queue_timeout_s,
            max_retries=settings.max_retries,
        )
        self.events = EventPublisher(
            self.bus,
            source=f"gateway/{self.instance}",
            reply_prefix=subjects.gateway_reply(f"{self.instance}-events", "").rstrip("."),
        )
        self.feed = Feed(self.bus, self.instance, most=settings.event_listeners)
        identity = BusIdentity(self.bus)
        self.keys = KeyFollower(keyring, identity) if settings.identity else None
        self._watch = Watch(
            self.bus, self.instance, settings, fleet=self.fleet, relay=self.relay, ways=ways, direct=self.direct
        )
        self.limiter = (
            Limiter(self.bus, self.instance, answer_tokens=settings.limited_answer_tokens)
            if settings.identity
            else None
        )
        reports = Reports(self.events, self.metrics, self.limiter.usage if self.limiter is not None else None)
        self.divider = Divider(self.fleet)
        self.mirror = Mirror(
            settings,
            instance=self.instance,
            fleet=self.fleet,
            relay=self.relay,
            reports=reports,
            metrics=self.metrics,
        )
        self.endpoint = Endpoint(
            settings,
            instance=self.instance,
            keyring=keyring,
            fleet=self.fleet,
            relay=self.relay,
            watch=self._watch,
            reports=reports,
            divider=self.divider,
            mirror=self.mirror,
            limiter=self.limiter,
        )
        signals = Signals(self.bus, max_body_bytes=settings.max_body_bytes, body_timeout_s=settings.body_timeout_s)
        door = Door(keyring)
        self.audit = self._audit_publisher() if settings.audit else None
        roll_call = RollCall(self.bus, inbox)
        self.health = health_of(self.bus, self.fleet, self._watch, self.keys, roll_call)
        self._discovery = Discovery("gateway", self.instance, self.health)
        running = RunningSettings("gateway", self.instance, settings)
        self._process = ProcessDesk(self.bus, "gateway", self.instance, running)
        self._admin = build_admin(
            bus=self.bus,
            fleet=self.fleet,
            health=self.health,
            door=door,
            metrics=self.metrics,
            signals=signals,
        )
        api = build_api(
            services={
                "registry": BusRegistry(self.bus),
                "feedback": BusFeedback(self.bus),
                "trainer": BusTrainer(self.bus),
                "rollout": BusRollouts(self.bus),
                "identity": identity,
                "events": BusEvents(self.bus),
                "audit": BusAudit(self.bus),
                "presence": Presence(roll_call),
                "scheduler": BusScheduler(self.bus),
                **operators_desks(self.bus, running, roll_call),
            },
            door=door if settings.admin_keys_file is not None or settings.identity else None,
            proxies=Proxies(settings.trusted_proxies),
            max_body_bytes=settings.max_body_bytes,
            publisher=self.audit,
        )
        self._admin.mount(PREFIX, api)
        add_routes(self._admin, self.feed, door, settings)
        public.describe(self._admin)
        self._add_gauges()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that is not on a hot path, or the life of the process."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif has_key_in_query(scope.get("query_string", b"")):
            await _refuse(scope, receive, send)
        elif tracing.is_on():
            await asgi_spans.serve(self._admin, scope, receive, send)
        else:
            await self._admin(scope, receive, send)

    def begin_drain(self) -> None:
        """Refuse new requests from now on; safe in a signal handler."""
        self._watch.draining = True
        self.mirror.closed = True
        self.feed.close()

    async def start(self) -> None:
        """Connect when the bus answers; until then `/readyz` says what is missing."""
        self.relay.start()
        self._watch.start()
        self.divider.start(self.bus)
        if self.keys is not None:
            self.keys.start(self.bus)
        if self.limiter is not None:
            self.limiter.start()
        self.events.start()
        self.feed.start()
        self._discovery.listen(self.bus)
        self._process.start(self._discovery)
        await self.bus.connect_when_possible()
        log.info("gateway started", instance=self.instance, host=self.settings.host, port=self.settings.port)

    async def stop(self) -> None:
        """Let the last events be acknowledged, then leave the bus."""
        await self.mirror.stop()
        if self.keys is not None:
            await self.keys.stop()
        if self.limiter is not None:
            await self.limiter.stop()
        await self._watch.stop()
        await self._process.stop()
        await self.events.close()
        await self.bus.close()
        log.info("gateway stopped", instance=self.instance)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})

    @property
    def doubted(self) -> int:
        """Requests of which it is not known, since the bus was away, whether they still wait."""
        return self._watch.doubted

    def _audit_publisher(self) -> StoredPublisher:
        inbox = subjects.gateway_reply(f"{self.instance}-audit", "").rstrip(".")
        publisher = StoredPublisher(self.bus, source=f"gateway/{self.instance}", inbox=inbox)
        publisher.start()
        return publisher

    def _on_bus(self, connected: bool) -> None:  # noqa: FBT001 - the bus client's callback
        self._watch.on_bus(connected=connected)
        if connected:
            self.events.resend()

    def _add_gauges(self) -> None:
        gauge = self.metrics.gauge
        gauge(metrics.IN_FLIGHT, lambda: len(self.relay))
        gauge(metrics.MIRRORS, lambda: len(self.mirror))
        gauge(metrics.CONNECTED, lambda: self.bus.connected)
        gauge(metrics.RECONNECTS, lambda: self.bus.reconnects)
        gauge(metrics.LISTENERS, lambda: len(self.feed))
        gauge(metrics.EVENTS_PENDING, lambda: self.events.pending)
        gauge(metrics.EVENTS_DROPPED, lambda: self.events.dropped)


def build_app(settings: Settings) -> Gateway:
    """Wire the gateway. Nothing connects until its lifespan starts.

    Raises:
        KeyFileError: the file of API keys cannot be used.
    """
    return Gateway(settings)


def load_keyring(settings: Settings) -> Keyring:
    """Read the keys in files: members of tenants, and admins of the platform.

    Raises:
        KeyFileError: a file that is named is missing, empty or malformed, or a key is in both.
    """
    salt_key = _read_secret(settings.cache_salt_key_file)
    members = _read_file(settings.api_keys_file, salt_key, is_platform=False)
    admins = {}
    if settings.admin_keys_file is not None:
        admins = _read_file(settings.admin_keys_file, salt_key, is_platform=True)
    if members.keys() & admins.keys():
        raise KeyFileError(f"{settings.admin_keys_file}: a key of {settings.api_keys_file} is in it, too")
    acting = {}
    if settings.acting_keys_file is not None:
        acting = _read_file(settings.acting_keys_file, salt_key, is_platform=False, is_acting=True)
    if acting.keys() & (members.keys() | admins.keys()):
        raise KeyFileError(f"{settings.acting_keys_file}: a key of another file is in it, too")
    return Keyring({**members, **admins, **acting}, salt_key=salt_key)


def _read_secret(path: Path | None) -> bytes:
    try:
        return path.read_bytes().strip() if path is not None else b""
    except OSError as error:
        raise KeyFileError(f"{error.filename}: {error.strerror}") from error


def _read_file(path: Path, salt_key: bytes, *, is_platform: bool, is_acting: bool = False) -> dict[bytes, Principal]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return read_keys(lines, salt_key=salt_key, is_platform=is_platform, is_acting=is_acting)
    except OSError as error:
        raise KeyFileError(f"{error.filename}: {error.strerror}") from error
    except KeyFileError as error:
        raise KeyFileError(f"{path}: {error}") from error


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """A key in the address: refused before anything else looks at the request."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": "API keys do not belong into an address."})
        return
    request, error = Request(scope, receive), key_in_url()
    is_admin = scope["path"].startswith(f"{PREFIX}/")
    response = render(request, error) if is_admin else render_service_error(request, error)
    await response(scope, receive, send)
