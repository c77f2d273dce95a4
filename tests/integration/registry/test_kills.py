"""The registry is killed with signal 9 right after every step of a publication; then it is started and asked again."""

import asyncio
import contextlib
import json
import signal
from pathlib import Path

import nats as nats_py
import pytest
from sqlalchemy import func, select

from libs.contracts import subjects
from libs.contracts.registry import CommitUpload, Kind, ListVersions, SetAlias, Verify, Version
from libs.kit.publish import Description, Scan, scan
from libs.testkit.models import write_model
from libs.testkit.nats_server import NatsServer
from libs.testkit.registry import RegistryDesk, RegistryGround, registry_process
from libs.testkit.service_process import ServiceProcess
from libs.testkit.wait import until
from services.registry.app import Registry
from services.registry.tables import OUTBOX

STEPS = {
    # Step: (whether the version is published when the registry dies, whether every blob was sent by then)
    "upload noted": (False, False),
    "commit begun": (False, True),
    "blobs are there": (False, True),
    "bytes are checked": (False, True),
    "bytes are right": (False, True),
    "files are sound": (False, True),
    "version written, not committed": (False, True),
    "version visible": (True, True),
    "event sent": (True, True),
}


async def _events(nats: NatsServer) -> list[str]:
    """Names and digests of every publication in the stream."""
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}", user="provisioner", password=nats.passwords["provisioner"]
    )
    try:
        jetstream = client.jetstream()
        info = await jetstream.stream_info("EVT_REGISTRY")
        found = []
        for sequence in range(info.state.first_seq, info.state.last_seq + 1):
            message = await jetstream.get_msg("EVT_REGISTRY", sequence)
            if message.subject == subjects.VERSION_PUBLISHED:
                assert message.headers is not None
                assert message.headers["Nats-Msg-Id"] == message.headers["ce-id"]
                found.append(json.loads(message.data or b"")["version"]["digest"])
        return found
    finally:
        await client.close()


async def _try_to_publish(desk: RegistryDesk, found: Scan, process: ServiceProcess) -> None:
    """Publish until the registry dies; a caller whose registry dies hears nothing, so it is not waited for."""

    async def attempt() -> None:
        upload = await desk.begin(found)
        await desk.send(found, upload.missing)
        await desk.call("upload_commit", CommitUpload(upload.upload_id))

    task = asyncio.create_task(attempt())
    try:
        await until(lambda: process.has_ended, timeout_s=30, what="the registry's death")
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert process.process is not None
    assert process.process.returncode == -signal.SIGKILL


async def _published(desk: RegistryDesk) -> list[Version]:
    return list((await desk.call("version_list", ListVersions(name="helpdesk"))).versions)


@pytest.mark.parametrize("step", STEPS)
async def test_a_kill_leaves_nothing_half_visible_and_the_retry_completes(
    step: str, ground: RegistryGround, tmp_path: Path
) -> None:
    is_published, is_sent = STEPS[step]
    older, model = write_model(tmp_path / "older", 1), write_model(tmp_path / "model", 2)
    found = scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    async with ground.registry() as registry, ground.desk() as desk:
        first = await desk.publish(older, "helpdesk")
        await desk.call("alias_set", SetAlias(name="helpdesk", alias="champion", target="helpdesk@1", author="ann"))
        events = await _eventually(ground.nats, 1)
        await _until_sent(registry)
    async with registry_process(ground, die_after=step) as process, ground.desk() as desk:
        await _try_to_publish(desk, found, process)
        await process.start()

        seen = await _published(desk)
        assert [version.number for version in seen] == ([2, 1] if is_published else [1])
        upload = await desk.begin(found)
        assert (upload.published is not None) == is_published
        assert upload.missing_total == (0 if is_sent else 2), "what was sent is not asked for again"

        version = await desk.publish(model, "helpdesk")
        assert version.number == 2
        assert await desk.call("upload_commit", CommitUpload(version.digest)) == version
        for one in (first, version):
            assert (await desk.call("version_verify", Verify(one.reference))).bad == ()
        assert [one.digest for one in await _published(desk)] == [version.digest, first.digest]
        assert await _eventually(ground.nats, 2) == [*events, version.digest]


async def _until_sent(registry: Registry) -> None:
    """Wait until the outbox is empty, so that the next event is that of the next publication."""
    async with asyncio.timeout(15):
        waiting = 1
        while waiting:
            async with registry.database.begin() as connection:
                waiting = (await connection.execute(select(func.count()).select_from(OUTBOX.table))).scalar_one()


async def _eventually(nats: NatsServer, count: int) -> list[str]:
    """The events, as soon as there are `count`."""
    async with asyncio.timeout(15):
        while len(events := await _events(nats)) < count:  # noqa: ASYNC110 - the server is asked
            await asyncio.sleep(0.02)
    return events
