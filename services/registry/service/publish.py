"""Publishing in two phases: announce a manifest and send its blobs; then they are checked and the version shows."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.registry import (
    UPLOAD_PAGE,
    BeginUpload,
    Blob,
    BlobUpload,
    CommitUpload,
    Kind,
    Manifest,
    Upload,
    Version,
    VersionPublished,
)
from libs.contracts.versions import blob_key, digest_of
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.objects_checked import CheckedObjects
from libs.kit.postgres import Database, lock
from services.registry.domain.manifests import base_of, blobs_of, check_manifest
from services.registry.repository import blobs, uploads, versions
from services.registry.service import contents, locks
from services.registry.service.owning import check_writer
from services.registry.service.reading import BlobReader, all_of
from services.registry.service.steps import StepListener
from services.registry.tables import OUTBOX

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Publisher:
    """Both phases; every step may be repeated, by the same process or another."""

    database: Database
    store: ObjectStore
    checked: CheckedObjects
    reader: BlobReader
    upload_ttl_s: float
    url_ttl_s: float
    passed: StepListener
    wake: asyncio.Event
    """Set when a version was published here."""
    _running: dict[str, "asyncio.Task[Version]"] = field(default_factory=dict)

    async def begin(self, request: BeginUpload) -> Upload:
        """Check the manifest, note the upload, and say which blobs are missing.

        Raises:
            ServiceError: `invalid_manifest`, `unsafe_file`, `incompatible_base`, `storage_unavailable`; `conflict`, the
                name is another tenant's.
        """
        manifest, now_ms = request.manifest, clock.unix_ms()
        check_manifest(manifest)
        digest, expires_ms = digest_of(manifest), now_ms + int(self.upload_ttl_s * 1_000)
        wanted = blobs_of(manifest)
        async with self.database.begin() as connection:
            await check_writer(connection, manifest.name, request.tenant)
            published = await self._published(connection, digest)
            if published is None:
                await _check_base(connection, manifest, request.tenant)
            # From here on garbage collection sees that these blobs are wanted.
            await lock(connection, locks.BLOBS, shared=True)
            await blobs.announce(connection, wanted, now_ms)
            known = await blobs.verified(connection, (blob.digest for blob in wanted))
            sound = all(blob.digest in known for blob in wanted)
            if published is not None and sound:
                return Upload(
                    upload_id=digest, digest=digest, expires_ms=0, missing=(), missing_total=0, published=published
                )
            await uploads.begin(connection, digest, request, expires_ms)
            bad = await blobs.bad(connection, (blob.digest for blob in wanted))
        await self.passed("upload noted")
        return await self._answer(digest, expires_ms, wanted, bad)

    async def commit(self, request: CommitUpload) -> Version:
        """Make sure of every byte that was not checked before, then make the version visible in one transaction.

        Whoever asks again meanwhile gets the answer of the check that is under way.

        Raises:
            ServiceError: `not_found`, no such upload; `digest_mismatch`, blobs are missing or wrong (wrong ones are
                removed, so that the same upload can be completed); `unsafe_file`; `incompatible_base`;
                `storage_unavailable`.
        """
        digest = request.upload_id
        await self._check_uploader(request)
        task = self._running.get(digest)
        if task is None:
            task = self._running[digest] = asyncio.create_task(self._commit(digest), name=f"commit-{digest[:12]}")
            task.add_done_callback(lambda _: self._running.pop(digest, None))
        return await asyncio.shield(task)

    async def _commit(self, digest: str) -> Version:
        async with self.database.begin() as connection:
            row = await uploads.find(connection, digest)
            if row is None:
                return await self._repeated(connection, digest)
            manifest = uploads.manifest_of(row)
            expires_ms = clock.unix_ms() + int(self.upload_ttl_s * 1_000)
            await uploads.renew(connection, digest, expires_ms)
        await self.passed("commit begun")
        await self._check_sizes(manifest)
        await self.passed("blobs are there")
        await self._check_bytes(manifest)
        await self.passed("bytes are right")
        base = await self._base_of(manifest, row.tenant)
        await contents.check(self.store, manifest, base)
        await self.passed("files are sound")
        version = await self._make_visible(digest, manifest, row)
        await self.passed("version visible")
        return version

    async def _answer(self, digest: str, expires_ms: int, wanted: tuple[Blob, ...], bad: set[str]) -> Upload:
        sizes = await self.reader.sizes(wanted)
        missing = [blob for blob in wanted if sizes[blob.digest] != blob.size_bytes or blob.digest in bad]
        async with self.database.begin() as connection:
            # What comes instead of a blob that was lost has to be read again.
            await blobs.set_unread(connection, (blob.digest for blob in missing))
        return Upload(
            upload_id=digest,
            digest=digest,
            expires_ms=expires_ms,
            missing=await self._signed(missing[:UPLOAD_PAGE]),
            missing_total=len(missing),
        )

    async def _signed(self, missing: list[Blob]) -> tuple[BlobUpload, ...]:
        """URLs that take these blobs and nothing else, where the store can be held to that."""
        keys = [blob_key(blob.digest) for blob in missing]
        if keys and await self.checked.is_bound():
            bound = [
                self.checked.sign_put(key, blob.digest, self.url_ttl_s) for key, blob in zip(keys, missing, strict=True)
            ]
            return tuple(BlobUpload(blob, url, headers) for blob, (url, headers) in zip(missing, bound, strict=True))
        urls = await self.store.sign_put(keys, self.url_ttl_s)
        return tuple(BlobUpload(blob, url) for blob, url in zip(missing, urls, strict=True))

    async def _published(self, connection: AsyncConnection, digest: str) -> Version | None:
        row = await versions.by_digest(connection, digest)
        return (await versions.to_messages(connection, [row]))[0] if row else None

    async def _repeated(self, connection: AsyncConnection, digest: str) -> Version:
        """What an upload became that is not there any more, if it became a version."""
        version = await self._published(connection, digest)
        if version is None:
            raise _no_upload(digest)
        return version

    async def _check_sizes(self, manifest: Manifest) -> None:
        wanted = blobs_of(manifest)
        sizes = await self.reader.sizes(wanted)
        bad = [blob for blob in wanted if sizes[blob.digest] != blob.size_bytes]
        if bad:
            raise _mismatch([blob.digest for blob in bad], "are missing or have another size")

    async def _check_bytes(self, manifest: Manifest) -> None:
        """Believe the store's checksum where it has one, read what is left; drop what is wrong."""
        wanted = blobs_of(manifest)
        async with self.database.begin() as connection:
            known = await blobs.verified(connection, (blob.digest for blob in wanted))
        unknown = [blob for blob in wanted if blob.digest not in known]
        checked = await self._checked_by_store(unknown)
        wrong = await self.reader.wrong(blob for blob in unknown if blob.digest not in checked)
        await self._remember({blob.digest for blob in unknown} - wrong)
        await self.passed("bytes are checked")
        if wrong:
            await self._drop(sorted(wrong), known)
            raise _mismatch(sorted(wrong), "held other bytes than their names say and were removed")

    async def _checked_by_store(self, unknown: list[Blob]) -> set[str]:
        """Those that the store hashed itself when they came."""
        if not unknown or not await self.checked.is_bound():
            return set()
        stored = await all_of(self.checked.stored_digest(blob_key(blob.digest)) for blob in unknown)
        return {blob.digest for blob, digest in zip(unknown, stored, strict=True) if digest == blob.digest}

    async def _remember(self, digests: set[str]) -> None:
        async with self.database.begin() as connection:
            for digest in sorted(digests):
                await blobs.set_right(connection, digest, clock.unix_ms())

    async def _drop(self, digests: list[str], known: set[str]) -> None:
        """Remove wrong blobs from the store, but only mark those that versions need, so that they are sent again."""
        async with self.database.begin() as connection:
            await lock(connection, locks.BLOBS)
            healed = await blobs.verified(connection, digests) - known
            for digest in (digest for digest in digests if digest not in healed):
                log.warning("blob holds wrong bytes", blob=digest)
                await blobs.set_wrong(connection, digest)
                if not await blobs.is_used(connection, digest):
                    await self.store.delete(blob_key(digest))

    async def _check_uploader(self, request: CommitUpload) -> None:
        """Return unless the upload, or the version that it has become, is another tenant's."""
        if not request.tenant:
            return
        async with self.database.begin() as connection:
            row = await uploads.find(connection, request.upload_id)
            published = await versions.by_digest(connection, request.upload_id)
        if any(known is not None and known.tenant != request.tenant for known in (row, published)):
            raise _no_upload(request.upload_id)

    async def _base_of(self, manifest: Manifest, tenant: str) -> Manifest | None:
        if manifest.kind is not Kind.ADAPTER:
            return None
        async with self.database.begin() as connection:
            return await _check_base(connection, manifest, tenant)

    async def _make_visible(self, digest: str, manifest: Manifest, upload: Row[Any]) -> Version:
        async with self.database.begin() as connection:
            base = base_of(manifest)
            await versions.claim_name(connection, manifest.name, upload.owner)
            await versions.lock_names(connection, {manifest.name} | ({base.name} if base else set()))
            await lock(connection, locks.BLOBS, shared=True)
            wanted = [blob.digest for blob in blobs_of(manifest)]
            known = await blobs.verified(connection, wanted)
            if lost := [blob for blob in wanted if blob not in known]:
                raise _mismatch(lost, "were found wrong or removed meanwhile")
            if (published := await self._published(connection, digest)) is not None:
                await uploads.remove(connection, digest)
                return published
            if await uploads.find(connection, digest) is None:
                raise ServiceError(
                    "not_found", "The upload expired while it was checked; begin it again.", param="upload_id"
                )
            await check_writer(connection, manifest.name, upload.tenant)
            await _check_base(connection, manifest, upload.tenant)
            now_ms = clock.unix_ms()
            number = await versions.next_number(connection, manifest.name)
            await versions.add(
                connection,
                digest=digest,
                number=number,
                manifest=manifest,
                author=upload.author,
                now_ms=now_ms,
                tenant=upload.owner,
            )
            version = await self._published(connection, digest)
            assert version is not None  # noqa: S101 - it was added two lines above
            await OUTBOX.add(connection, VersionPublished(id=clock.new_event_id(), time_ms=now_ms, version=version))
            await uploads.remove(connection, digest)
            await self.passed("version written, not committed")
        self.wake.set()
        log.info("version published", version=version.reference, number=version.number, author=upload.author)
        return version


async def _check_base(connection: AsyncConnection, manifest: Manifest, tenant: str) -> Manifest | None:
    """The manifest of the base that an adapter names, which `tenant` must see.

    Raises:
        ServiceError: `incompatible_base`, it does not exist or is no model.
    """
    reference = base_of(manifest)
    if reference is None or manifest.kind is not Kind.ADAPTER:
        return None
    found = await versions.find(connection, reference, tenant)
    if not found or found[0].kind != Kind.MODEL.value:
        what = "there is no such version" if not found else f"it is of kind {found[0].kind}"
        raise ServiceError(
            "incompatible_base", f"{manifest.base} cannot be the base of an adapter: {what}.", param="base"
        )
    return versions.manifest_of(found[0])


def _no_upload(upload_id: str) -> ServiceError:
    return ServiceError(
        "not_found",
        f"There is no upload `{upload_id[:64]}`; it may have expired. Begin the same one again: what was sent is"
        " kept for a while.",
        param="upload_id",
    )


def _mismatch(digests: list[str], what: str) -> ServiceError:
    shown = ", ".join(digest[:12] for digest in digests[:5])
    return ServiceError(
        "digest_mismatch",
        f"{len(digests)} blob(s) {what} ({shown}{'…' if len(digests) > 5 else ''}); publish the same version again to"
        " send them.",
        param=digests[0],
    )
