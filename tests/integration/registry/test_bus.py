"""What the registry says and hears on the bus: bad calls get answers, events go out, not everyone may ask."""

import asyncio
from pathlib import Path

import msgspec
import nats as nats_py
import pytest

from libs.contracts import subjects
from libs.contracts.calls import Reply
from libs.contracts.registry import (
    OPERATIONS,
    AliasMoved,
    BeginUpload,
    Deploy,
    DeploymentChanged,
    FetchVersion,
    Kind,
    Manifest,
    SetAlias,
    VersionPublished,
)
from libs.kit import clock
from libs.kit.bus import BusTimeoutError
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, scan
from libs.testkit.models import write_adapter
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround

EVENTS = {
    subjects.VERSION_PUBLISHED: VersionPublished,
    subjects.ALIAS_MOVED: AliasMoved,
    subjects.DEPLOYMENT_CHANGED: DeploymentChanged,
}


async def test_a_call_that_cannot_be_read_gets_an_answer(desk: RegistryDesk) -> None:
    for operation in OPERATIONS:
        for payload, code in ((b"{", "invalid_json"), (b"\xff", "invalid_json"), (b"[]", "invalid_value")):
            answer = await desk.bus.request(subjects.registry_call(operation), payload, timeout_s=10)
            error = msgspec.json.decode(answer.payload, type=Reply).error
            assert error is not None, operation
            assert error.code == code, operation


async def test_a_field_from_the_future_is_ignored(desk: RegistryDesk) -> None:
    answer = await desk.bus.request(subjects.registry_call("version_list"), b'{"invented_later": 1}', timeout_s=10)
    assert msgspec.json.decode(answer.payload, type=Reply).error is None


async def test_a_manifest_that_climbs_out_is_refused_over_the_bus(desk: RegistryDesk, model: Path) -> None:
    manifest = scan(model, Description(name="helpdesk", kind=Kind.MODEL)).manifest
    climbing = msgspec.structs.replace(manifest.files[0], path="../../etc/cron.d/x.json")
    for files, code in (
        ((climbing, *manifest.files), "invalid_manifest"),
        ((manifest.files[0], *manifest.files), "invalid_manifest"),
        (tuple(file for file in manifest.files if file.path != "model.safetensors"), "invalid_manifest"),
    ):
        with pytest.raises(ServiceError) as caught:
            await desk.call(
                "upload_begin", BeginUpload(manifest=msgspec.structs.replace(manifest, files=files), author="eve")
            )
        assert caught.value.code == code


@pytest.mark.parametrize("content", [b"", b"\0" * 64, b"not safetensors at all"])
async def test_weights_that_only_the_registry_looks_into_are_refused(
    content: bytes, desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "model.safetensors").write_bytes(content)
    monkeypatch.setattr("libs.kit.publish.manifest.check_files", lambda *_: {})
    with pytest.raises(ServiceError) as caught:
        await desk.publish(model, "helpdesk")
    assert (caught.value.code, caught.value.param) == ("unsafe_file", "model.safetensors")


async def test_a_template_that_only_the_registry_renders_is_refused(
    desk: RegistryDesk, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / "chat_template.jinja").write_text("{{ raise_exception('never') }}")
    monkeypatch.setattr("libs.kit.publish.manifest.check_files", lambda *_: {})
    with pytest.raises(ServiceError) as caught:
        await desk.publish(model, "helpdesk")
    assert (caught.value.code, caught.value.param) == ("unsafe_file", "chat_template.jinja")


async def test_a_worker_may_fetch_and_nothing_else(ground: RegistryGround, desk: RegistryDesk, model: Path) -> None:
    version = await desk.publish(model, "helpdesk")
    async with ground.desk("inference") as worker:
        page = await worker.call("version_fetch", FetchVersion(version.reference))
        assert page.digest == version.digest
        one = page.downloads[0]
        assert (await worker.http.put(one.url, content=b"x")).status_code == 403
        with pytest.raises(BusTimeoutError):
            await worker.bus.request(subjects.registry_call("version_list"), b"{}", timeout_s=0.3)
    async with ground.desk("gateway") as gateway:
        assert (await gateway.call("version_fetch", FetchVersion("helpdesk@1"))).digest == version.digest


async def _events(nats: NatsServer, count: int) -> list[VersionPublished | AliasMoved | DeploymentChanged]:
    """The first `count` events in the stream, their headers checked."""
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}", user="provisioner", password=nats.passwords["provisioner"]
    )
    jetstream = client.jetstream()
    try:
        async with asyncio.timeout(10):
            while (state := (await jetstream.stream_info("EVT_REGISTRY")).state).messages < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        found = []
        for sequence in range(state.first_seq, state.last_seq + 1):
            message = await jetstream.get_msg("EVT_REGISTRY", sequence)
            event = msgspec.json.decode(message.data or b"", type=EVENTS[str(message.subject)])
            assert message.headers is not None
            assert (
                message.headers.items()
                >= {
                    "Nats-Msg-Id": event.id,
                    "ce-id": event.id,
                    "ce-type": message.subject,
                    "ce-time": clock.rfc3339(event.time_ms),
                    "ce-source": "llmos/registry",
                    "ce-specversion": "1.0",
                    "content-type": "application/json",
                }.items()
            )
            found.append(event)
        return found
    finally:
        await client.close()


async def test_everything_that_happens_is_an_event_in_order_and_once(
    ground: RegistryGround, desk: RegistryDesk, model: Path, tmp_path: Path
) -> None:
    async with ground.registry():
        base = await desk.publish(model, "helpdesk")
        write_adapter(tmp_path / "a")
        await desk.call("alias_set", SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ann"))
        await desk.call("alias_set", SetAlias(name="helpdesk", alias="champion", target="", author="ann"))
        await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@1", author="ann"))
        await desk.call("deployment_declare", Deploy(pool="default", base="helpdesk@1", author="ann", replicas=2))
        events = await _events(ground.nats, 5)
    published = [event for event in events if isinstance(event, VersionPublished)]
    moves = [event for event in events if isinstance(event, AliasMoved)]
    changes = [event for event in events if isinstance(event, DeploymentChanged)]
    assert [event.version for event in published] == [base]
    assert [(event.alias.digest, event.previous) for event in moves] == [(base.digest, ""), ("", base.digest)]
    assert [event.deployment.generation for event in changes] == [1, 2]
    assert len({event.id for event in events}) == len(events) == 5


async def test_a_manifest_beyond_a_message_is_refused_in_words(desk: RegistryDesk) -> None:
    manifest = Manifest(name="big", kind=Kind.REPORT, files=(), annotations={"x": "y" * 600_000})
    with pytest.raises(ServiceError, match="fit into a message") as caught:
        await desk.call("upload_begin", BeginUpload(manifest=manifest, author="ann"))
    assert caught.value.code == "invalid_manifest"
