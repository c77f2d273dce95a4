"""Dead letters and settings of all services through the admin API and the command line's way, secrets unseen."""

import importlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio
from pydantic import BaseModel, SecretStr

from cli.operations.rest import RestLetters, RestSettings
from libs.contracts.audit import Phase, RecordEntry
from libs.contracts.effective import SERVICES, AllSettings, ChangeLogLevel, FindSettings, LogLevels, ProcessLogLevel
from libs.contracts.letters import AllLetters, FindAllLetters, LetterRef, LetterText
from libs.contracts.permissions import Role
from libs.contracts.topology import ROLLOUT_SIGNALS
from libs.kit import clock, running_settings
from libs.kit.bus import BusClient, Message
from libs.kit.discovery import Discovery
from libs.kit.errors import ServiceError
from libs.kit.health import Health
from libs.kit.letters import DeadLetters
from libs.kit.operators import operators_desk
from libs.kit.settings import BackendSettings
from libs.kit.shown_settings import shown
from libs.testkit.door import OWN, PLATFORM, add_keys, key_of
from libs.testkit.front import Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.streams import stream_messages
from services.gateway.routes.api import PREFIX
from tests.integration.gateway.admin_scene import ADMIN, ask

SECRET: Final = "planted-secret-0123456789"


@pytest.fixture
def overrides(admin_keys: dict[str, Any]) -> dict[str, Any]:
    return {**admin_keys, "audit": True, "identity": True}


class Rollout:
    """A rollout service as far as operators see it, with three dead letters."""

    def __init__(self, nats: NatsServer) -> None:
        self.bus = BusClient(replace(nats.options("rollout"), inbox_prefix="_INBOX.double"))
        settings = BackendSettings.model_validate(
            {"nats": {"password": SECRET}, "database": {"password": SECRET, "host": "db"}, "retry_s": 0.25}
        )
        letters = DeadLetters(self.bus, "rollout", "_INBOX.double")
        self._desk = operators_desk(self.bus, "rollout", settings, instance="double", dead_letters=letters)
        self._bury = letters.of(ROLLOUT_SIGNALS, self._record)
        self.is_broken = False
        self.taken: list[bytes] = []

    async def start(self) -> None:
        await self.bus.connect()
        discovery = Discovery("rollout", "double", Health())
        discovery.listen(self.bus)
        self._desk.start(discovery)
        await self.bus.flush()
        # The stream would know numbers of another test again.
        first = clock.unix_ms()
        for number in range(3):
            reply = f"$JS.ACK.EVT_FEEDBACK.{ROLLOUT_SIGNALS.durable}.1.{first + number}.6.1000000.0"
            message = Message(ROLLOUT_SIGNALS.filter_subject, reply, b"", b"what somebody wrote %d" % number)
            await self._bury(message, "why")

    async def _record(self, messages: list[Message]) -> None:
        if self.is_broken:
            raise ValueError("it still is")
        self.taken += [message.payload for message in messages]


@pytest_asyncio.fixture(loop_scope="session")
async def rollout(nats: NatsServer) -> AsyncIterator[Rollout]:
    double = Rollout(nats)
    await double.start()
    yield double
    await double.bus.close()


async def _all(letters: RestLetters, **wanted: Any) -> AllLetters:
    page: AllLetters = await letters.call("letter_list", FindAllLetters(**wanted))
    return page


async def test_letters_are_listed_shown_replayed_and_dropped(front: Front, rollout: Rollout, nats: NatsServer) -> None:
    async with RestLetters(f"http://127.0.0.1:{front.port}", ADMIN) as letters:
        first = await _all(letters, limit=2)
        second = await _all(letters, limit=2, after=first.next)
        found = [*first.letters, *second.letters]
        assert [one.reason for one in found] == ["why"] * 3
        assert (second.next, first.away) == ("", ("audit", "events", "feedback"))
        assert (await _all(letters, service="audit")).away == ("audit",)
        shown = await letters.call("letter_show", LetterRef(id=found[0].id, author="x"))
        assert shown == found[0]
        read: LetterText = await letters.call("letter_read", LetterRef(id=found[0].id, author="x"))
        assert (read.letter, read.payload) == (found[0], "what somebody wrote 0")
        rollout.is_broken = True
        with pytest.raises(ServiceError) as still:
            await letters.call("letter_replay", LetterRef(id=found[0].id, author="x"))
        assert still.value.code == "conflict"
        rollout.is_broken = False
        for operation, letter in (("letter_replay", found[0]), ("letter_drop", found[1])):
            assert await letters.call(operation, LetterRef(id=letter.id, author="x")) == letter
            with pytest.raises(ServiceError) as gone:
                await letters.call(operation, LetterRef(id=letter.id, author="x"))
            assert gone.value.code == "not_found"
        assert rollout.taken == [b"what somebody wrote 0"]
        assert [one.id for one in (await _all(letters)).letters] == [found[2].id]
    recorded = [
        msgspec.json.decode(one.data or b"", type=RecordEntry) for one in await stream_messages(nats, "CMD_AUDIT")
    ]
    done = [entry.operation for entry in recorded if entry.phase is Phase.DONE]
    assert done.count("letter_read") == 1
    assert {"letter_replay", "letter_drop"} <= {*done}


@pytest.mark.parametrize("letter", ["rollout-999999999", "rollout-0", "nobody-1", "rollout-x", "%20", "rollout-1-1"])
@pytest.mark.usefixtures("rollout")
async def test_a_letter_that_is_not_there_is_not_found(front: Front, letter: str) -> None:
    for method, path in (("GET", ""), ("GET", "/payload"), ("POST", "/replay"), ("DELETE", "")):
        answer = await ask(front, method, f"/dead-letters/{letter}{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)


@pytest.mark.usefixtures("rollout")
async def test_the_words_of_a_letter_are_nothing_for_a_project_nor_for_an_operator(front: Front) -> None:
    add_keys(front.gateway)
    found = (await ask(front, "GET", "/dead-letters")).json()["letters"][0]["id"]
    path = f"{PREFIX}/dead-letters/{found}/payload"
    for role, tenant, status in (
        (Role.ANNOTATOR, OWN, 404),
        (Role.OPERATOR, PLATFORM, 403),
        (Role.ADMIN, OWN, 404),
        (Role.ANNOTATOR, PLATFORM, 200),
    ):
        answer = await front.http.get(path, headers={"authorization": f"Bearer {key_of(role, tenant)}"})
        assert (answer.status_code, "somebody wrote" in answer.text) == (status, status == 200), (role, tenant)


@pytest.mark.usefixtures("rollout")
async def test_settings_of_every_service_are_told_but_never_a_secret(front: Front) -> None:
    async with RestSettings(f"http://127.0.0.1:{front.port}", ADMIN) as settings:
        told: AllSettings = await settings.call("settings_show", FindSettings())
        assert tuple(one.service for one in told.services) == SERVICES
        there = {one.service: one for one in told.services if not one.away}
        assert {*there} == {"gateway", "rollout"}
        assert SECRET not in msgspec.json.encode(told).decode()
        values = {one.name: one for one in there["rollout"].settings}
        assert (values["NATS__PASSWORD"].value, values["NATS__PASSWORD"].is_secret) == ("set", True)
        assert (values["DATABASE__HOST"].value, values["DATABASE__HOST"].source) == ("db", "environment")
        assert (values["RETRY_S"].value, values["RETRY_S"].unit) == ("0.25", "s")
        assert values["START_TIMEOUT_S"].source == "default"
        own = {one.name: one for one in there["gateway"].settings}
        assert own["GATEWAY_PORT"].value == str(front.port)
        with pytest.raises(ServiceError) as unknown:
            await settings.call("settings_show", FindSettings("nobody"))
        assert unknown.value.code == "not_found"


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What processes of this test, which are none, were told to log."""
    told: list[str] = []
    monkeypatch.setattr(running_settings, "set_log_level", told.append)
    return told


async def _change(settings: RestSettings, service: str, level: str, instance: str = "") -> tuple[ProcessLogLevel, ...]:
    asked = ChangeLogLevel(service=service, level=level, instance=instance)
    done: LogLevels = await settings.call("log_level_set", asked)
    return done.processes


async def test_one_process_or_all_of_a_service_are_told_how_much_to_log(
    front: Front, rollout: Rollout, nats: NatsServer, levels: list[str]
) -> None:
    silent = BusClient(replace(nats.options("rollout"), inbox_prefix="_INBOX.silent"))
    await silent.connect()
    Discovery("rollout", "silent", Health()).listen(silent)
    await silent.flush()
    assert rollout.bus.connected
    async with RestSettings(f"http://127.0.0.1:{front.port}", ADMIN) as settings:
        double = ProcessLogLevel(instance="double", level="DEBUG", was="INFO")
        away = ProcessLogLevel(instance="silent", away=True)
        assert await _change(settings, "rollout", "DEBUG") == (double, away)
        again = msgspec.structs.replace(double, level="ERROR", was="DEBUG")
        assert await _change(settings, "rollout", "ERROR", "double") == (again,)
        told: AllSettings = await settings.call("settings_show", FindSettings("rollout"))
        (level,) = [one for one in told.services[0].settings if one.name == "LOG_LEVEL"]
        assert (level.value, level.was) == ("ERROR", "INFO")
        (own,) = await _change(settings, "gateway", "WARNING")
        assert (own.instance, own.was) == (front.gateway.instance, "INFO")
    assert levels == ["DEBUG", "ERROR", "WARNING"]
    await silent.close()
    recorded = [
        msgspec.json.decode(one.data or b"", type=RecordEntry) for one in await stream_messages(nats, "CMD_AUDIT")
    ]
    done = [one for one in recorded if one.operation == "log_level_set" and one.phase is Phase.DONE]
    objects = [one.object for one in done if one.address == "127.0.0.1"][-3:]
    assert objects == ["/settings/rollout/log-level"] * 2 + ["/settings/gateway/log-level"]


@pytest.mark.parametrize(
    ("service", "body", "said"),
    [
        ("rollout", {"level": "TRACE"}, (422, "invalid_setting", "level")),
        ("rollout", {"level": "debug"}, (422, "invalid_setting", "level")),
        ("rollout", {"level": ""}, (422, "invalid_setting", "level")),
        ("rollout", {"level": 10}, (400, "invalid_value", "level")),
        ("rollout", {}, (400, "missing_field", "level")),
        ("rollout", {"level": "DEBUG", "for_s": 3}, (400, "unknown_parameter", "for_s")),
        ("rollout", {"level": "DEBUG", "instance": "nobody.>"}, (404, "not_found", "instance")),
        ("nobody", {"level": "DEBUG"}, (404, "not_found", "service")),
        ("*", {"level": "DEBUG"}, (404, "not_found", "service")),
        ("trainer", {"level": "DEBUG"}, (404, "not_found", "instance")),
    ],
)
@pytest.mark.usefixtures("rollout")
async def test_a_level_that_there_is_not_changes_nothing(
    front: Front, levels: list[str], service: str, body: dict[str, Any], said: tuple[int, str, str]
) -> None:
    answer = await ask(front, "PUT", f"/settings/{service}/log-level", body)
    assert (answer.status_code, answer.json()["code"], answer.json()["param"]) == said, answer.text
    assert levels == []


def test_whatever_is_secret_in_any_service_is_not_told(tmp_path: Path) -> None:
    planted, file = 0, tmp_path / "secret"
    file.write_text(SECRET, encoding="utf-8")
    for service in SERVICES:
        kind = importlib.import_module(f"services.{service}.settings").Settings
        values = _planted(kind)
        if "key_file" in kind.model_fields:
            values["key_file"] = file
        told = shown(kind.model_validate(values))
        assert SECRET not in repr(told), service
        planted += sum(one.is_secret and one.value == "set" for one in told)
    assert planted > len(SERVICES)


def _planted(kind: type[BaseModel]) -> dict[str, Any]:
    """Values in which every secret is planted."""
    values: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            values[name] = _planted(field.annotation)
        elif field.annotation is SecretStr:
            values[name] = SECRET
        elif field.is_required():
            values[name] = "/planted"
    return values
