"""Random histories of publishing, deleting, expiring and collecting: garbage collection never takes what is needed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from libs.contracts.registry import Blob, CollectGarbage, CommitUpload, DeleteVersion, Kind, Manifest, ManifestFile
from libs.kit.publish import Scan
from libs.kit.publish.manifest import Piece
from libs.testkit.registry import RegistryDesk
from services.registry.app import Registry
from services.registry.domain.places import BlobAt, blob_key, place_of

CONTENTS = [f"content {number}".encode() for number in range(6)]
OWNERS = ("", "acme", "other")
PICKS = st.tuples(st.sampled_from(OWNERS), st.sets(st.integers(0, len(CONTENTS) - 1), min_size=1, max_size=3))
ACTIONS = st.one_of(
    st.tuples(st.just("publish"), PICKS),
    st.tuples(st.just("begin"), PICKS),
    st.tuples(st.just("delete"), st.integers(0, 9)),
    st.tuples(st.just("expire"), st.none()),
    st.tuples(st.just("dry"), st.none()),
    st.tuples(st.just("collect"), st.none()),
    st.tuples(st.just("collect"), st.none()),
)
_names: Iterator[int] = count()


@dataclass
class World:
    """What a test knows of the registry."""

    registry: Registry
    desk: RegistryDesk
    directory: Path
    versions: dict[str, set[BlobAt]] = field(default_factory=dict)
    """Reference to blobs."""
    uploads: dict[str, set[BlobAt]] = field(default_factory=dict)

    def scan(self, picks: set[int]) -> Scan:
        """A data set of some of the contents, under a name of its own."""
        files, pieces = [], {}
        for pick in sorted(picks):
            content = CONTENTS[pick]
            path = self.directory / str(pick)
            path.write_bytes(content)
            blob = Blob(hashlib.sha256(content).hexdigest(), len(content))
            files.append(ManifestFile(f"file-{pick}", blob.digest, len(content), (blob,)))
            pieces[blob.digest] = Piece(path, 0, len(content))
        return Scan(Manifest(name=f"set-{next(_names)}", kind=Kind.DATASET, files=tuple(files)), pieces)

    async def act(self, action: str, what: object) -> None:
        """Do one thing and note it."""
        if action in ("publish", "begin"):
            assert isinstance(what, tuple)
            owner, picks = what
            found = self.scan(picks)
            upload = await self.desk.begin(found, tenant=owner)
            await self.desk.send(found, upload.missing)
            self.uploads[upload.upload_id] = {BlobAt(place_of(owner, Kind.DATASET), digest) for digest in found.pieces}
            if action == "publish":
                version = await self.desk.call("upload_commit", CommitUpload(upload.upload_id, owner))
                self.versions[version.reference] = self.uploads.pop(upload.upload_id)
        elif action == "delete" and self.versions:
            assert isinstance(what, int)
            reference = sorted(self.versions)[what % len(self.versions)]
            await self.desk.call("version_delete", DeleteVersion(reference, author="ann"))
            del self.versions[reference]
        elif action == "expire":
            async with self.registry.database.begin() as connection:
                await connection.execute(text("update registry.uploads set expires_ms = 1"))
            self.uploads.clear()
        elif action in ("dry", "collect"):
            before = await self.keys()
            await self.desk.call("garbage_collect", CollectGarbage(dry_run=action == "dry", min_age_s=0))
            after = await self.keys()
            assert after == before or action == "collect"
            assert after <= before
        assert self.needed() <= await self.keys()

    def needed(self) -> set[str]:
        """Keys that must be there."""
        return {blob_key(*blob) for blobs in (*self.versions.values(), *self.uploads.values()) for blob in blobs}

    async def keys(self) -> set[str]:
        """Keys that are there."""
        return {item.key async for item in self.registry.store.walk() if not item.key.startswith("trials/")}


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(actions=st.lists(ACTIONS, min_size=4, max_size=14))
async def test_what_is_needed_stays_and_in_the_end_nothing_else_does(
    actions: list[tuple[str, object]], registry: Registry, desk: RegistryDesk, tmp_path: Path
) -> None:
    world = World(registry, desk, tmp_path)
    for action, what in actions:
        await world.act(action, what)
    await world.act("collect", None)
    await world.act("collect", None)
    assert await world.keys() == world.needed()
    for reference in list(world.versions):
        await desk.call("version_delete", DeleteVersion(reference, author="ann"))
    await World(registry, desk, tmp_path).act("expire", None)
