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
from libs.contracts.versions import digest_of
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.objects_checked import CheckedObjects
from libs.kit.postgres import Database, lock
from services.registry.domain.manifests import base_of, blobs_of, check_manifest
from services.registry.domain.places import BlobAt, Placed, blob_key, place_of
from services.registry.repository import blobs, uploads, versions
from services.registry.service import contents, locks
from services.registry.service.owning import check_writer, is_seen, may_mend, taken
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
    _running: dict[tuple[str, str], "asyncio.Task[Version]"] = field(default_factory=dict)

    async def begin(self, request: BeginUpload) -> Upload:
        """Check the manifest, note the upload, and say which blobs are missing in the place of their owner.

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
            row = await versions.by_digest(connection, digest)
            if row is None:
                await _check_base(connection, manifest, request.tenant)
            elif not is_seen(row, request.tenant):
                raise taken(manifest.name)
            elif not may_mend(row, request.tenant):
                return await self._done(connection, row)
            place = place_of(request.tenant or request.owner, manifest.kind) if row is None else row.place
            # From here on garbage collection sees that these blobs are wanted.
            await lock(connection, locks.BLOBS, shared=True)
            await blobs.announce(connection, place, wanted, now_ms)
            known = await blobs.verified(connection, place, (blob.digest for blob in wanted))
            if row is not None and all(blob.digest in known for blob in wanted):
                return await self._done(connection, row)
            await uploads.begin(connection, digest, request, place, expires_ms)
            bad = await blobs.bad(connection, place, (blob.digest for blob in wanted))
        await self.passed("upload noted")
        return await self._answer(digest, expires_ms, Placed(manifest, place), bad)

    async def commit(self, request: CommitUpload) -> Version:
        """Make sure of every byte that was not checked before, then make the version visible in one transaction.

        Whoever asks again meanwhile gets the answer of the check that is under way.

        Raises:
            ServiceError: `not_found`, no such upload; `digest_mismatch`, blobs are missing or wrong (wrong ones are
                removed, so that the same upload can be completed); `invalid_manifest`, a BLAKE3 in it is found not to
                be that of its blob; `unsafe_file`; `incompatible_base`; `storage_unavailable`.
        """
        key = (request.tenant, request.upload_id)
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.create_task(self._commit(*key), name=f"commit-{key[1][:12]}")
            task.add_done_callback(lambda _: self._running.pop(key, None))
        return await asyncio.shield(task)

    async def _commit(self, tenant: str, digest: str) -> Version:
        async with self.database.begin() as connection:
            row = await uploads.find(connection, tenant, digest)
            if row is None:
                return await self._repeated(connection, tenant, digest)
            uploaded = uploads.placed_of(row)
            expires_ms = clock.unix_ms() + int(self.upload_ttl_s * 1_000)
            await uploads.renew(connection, tenant, digest, expires_ms)
        await self.passed("commit begun")
        await self._check_sizes(uploaded)
        await self.passed("blobs are there")
        await self._check_bytes(uploaded)
        await self.passed("bytes are right")
        base = await self._base_of(uploaded.manifest, tenant)
        await contents.check(self.store, uploaded, base)
        await self.passed("files are sound")
        version = await self._make_visible(uploaded, row)
        await self.passed("version visible")
        return version

    async def _answer(self, digest: str, expires_ms: int, uploaded: Placed, bad: set[str]) -> Upload:
        wanted, place = blobs_of(uploaded.manifest), uploaded.place
        sizes = await self.reader.sizes(place, wanted)
        missing = [blob for blob in wanted if sizes[blob.digest] != blob.size_bytes or blob.digest in bad]
        async with self.database.begin() as connection:
            # What comes instead of a blob that was lost has to be read again.
            await blobs.set_unread(connection, place, (blob.digest for blob in missing))
        return Upload(
            upload_id=digest,
            digest=digest,
            expires_ms=expires_ms,
            missing=await self._signed(place, missing[:UPLOAD_PAGE]),
            missing_total=len(missing),
        )

    async def _signed(self, place: str, missing: list[Blob]) -> tuple[BlobUpload, ...]:
        """URLs that take these blobs and nothing else, where the store can be held to that."""
        keys = [blob_key(place, blob.digest) for blob in missing]
        if keys and await self.checked.is_bound():
            bound = [
                self.checked.sign_put(key, blob.digest, self.url_ttl_s) for key, blob in zip(keys, missing, strict=True)
            ]
            return tuple(BlobUpload(blob, url, headers) for blob, (url, headers) in zip(missing, bound, strict=True))
        urls = await self.store.sign_put(keys, self.url_ttl_s)
        return tuple(BlobUpload(blob, url) for blob, url in zip(missing, urls, strict=True))

    async def _done(self, connection: AsyncConnection, row: Row[Any]) -> Upload:
        """The answer to whoever announces what is published: nothing is left to do."""
        version = (await versions.to_messages(connection, [row]))[0]
        return Upload(
            upload_id=row.digest, digest=row.digest, expires_ms=0, missing=(), missing_total=0, published=version
        )

    async def _repeated(self, connection: AsyncConnection, tenant: str, digest: str) -> Version:
        """What an upload became that is not there any more, if it became a version that `tenant` may see."""
        row = await versions.by_digest(connection, digest)
        if row is None or not is_seen(row, tenant):
            raise _no_upload(digest)
        return (await versions.to_messages(connection, [row]))[0]

    async def _check_sizes(self, uploaded: Placed) -> None:
        wanted = blobs_of(uploaded.manifest)
        sizes = await self.reader.sizes(uploaded.place, wanted)
        bad = [blob for blob in wanted if sizes[blob.digest] != blob.size_bytes]
        if bad:
            raise _mismatch([blob.digest for blob in bad], "are missing or have another size")

    async def _check_bytes(self, uploaded: Placed) -> None:
        """Believe the store's checksum where it has one, read what is left; drop what is wrong.

        A store that checks nothing may be given other bytes by an old URL, which a BLAKE3 of theirs would let pass:
        there whatever has a BLAKE3 stated is read for every manifest that states one.
        """
        wanted, place = blobs_of(uploaded.manifest), uploaded.place
        async with self.database.begin() as connection:
            known = await blobs.verified(connection, place, (blob.digest for blob in wanted))
        unknown = [blob for blob in wanted if blob.digest not in known]
        checked = await self._checked_by_store(place, unknown)
        unread = [blob for blob in unknown if blob.digest not in checked]
        if not await self.checked.is_bound():
            unread += [blob for blob in wanted if blob.digest in known and blob.blake3]
        wrong, misstated = await self.reader.faults(place, unread)
        await self._remember(place, {blob.digest for blob in unknown} - wrong)
        await self.passed("bytes are checked")
        if wrong:
            await self._drop(place, sorted(wrong), known)
            raise _mismatch(sorted(wrong), "held other bytes than their names say and were removed")
        if misstated:
            raise _misstated(sorted(misstated))

    async def _checked_by_store(self, place: str, unknown: list[Blob]) -> set[str]:
        """Those that the store hashed itself when they came."""
        if not unknown or not await self.checked.is_bound():
            return set()
        stored = await all_of(self.checked.stored_digest(blob_key(place, blob.digest)) for blob in unknown)
        return {blob.digest for blob, digest in zip(unknown, stored, strict=True) if digest == blob.digest}

    async def _remember(self, place: str, digests: set[str]) -> None:
        async with self.database.begin() as connection:
            for digest in sorted(digests):
                await blobs.set_right(connection, BlobAt(place, digest), clock.unix_ms())

    async def _drop(self, place: str, digests: list[str], known: set[str]) -> None:
        """Remove wrong blobs from the store, but only mark those that versions need, so that they are sent again."""
        async with self.database.begin() as connection:
            await lock(connection, locks.BLOBS)
            healed = await blobs.verified(connection, place, digests) - known
            for at in (BlobAt(place, digest) for digest in digests if digest not in healed):
                log.warning("blob holds wrong bytes", blob=at.digest, place=place)
                await blobs.set_wrong(connection, at)
                if not await blobs.is_used(connection, at):
                    await self.store.delete(blob_key(*at))

    async def _base_of(self, manifest: Manifest, tenant: str) -> Placed | None:
        if manifest.kind is not Kind.ADAPTER:
            return None
        async with self.database.begin() as connection:
            return await _check_base(connection, manifest, tenant)

    async def _make_visible(self, uploaded: Placed, upload: Row[Any]) -> Version:
        manifest, digest = uploaded.manifest, upload.digest
        async with self.database.begin() as connection:
            base = base_of(manifest)
            await versions.claim_name(connection, manifest.name, upload.owner)
            await versions.lock_names(connection, {manifest.name} | ({base.name} if base else set()))
            await lock(connection, locks.BLOBS, shared=True)
            await _check_known(connection, uploaded)
            await check_writer(connection, manifest.name, upload.tenant)
            if await versions.by_digest(connection, digest) is not None:
                published = await self._repeated(connection, upload.tenant, digest)
                await uploads.remove(connection, upload.tenant, digest)
                return published
            if await uploads.find(connection, upload.tenant, digest) is None:
                raise ServiceError(
                    "not_found", "The upload expired while it was checked; begin it again.", param="upload_id"
                )
            await _check_base(connection, manifest, upload.tenant)
            now_ms = clock.unix_ms()
            number = await versions.next_number(connection, manifest.name)
            await versions.add(
                connection,
                digest=digest,
                number=number,
                placed=uploaded,
                author=upload.author,
                now_ms=now_ms,
                tenant=upload.owner,
            )
            version = await self._repeated(connection, upload.tenant, digest)
            await OUTBOX.add(connection, VersionPublished(id=clock.new_event_id(), time_ms=now_ms, version=version))
            await uploads.remove(connection, upload.tenant, digest)
            await self.passed("version written, not committed")
        self.wake.set()
        log.info("version published", version=version.reference, number=version.number, author=upload.author)
        return version


async def _check_known(connection: AsyncConnection, uploaded: Placed) -> None:
    """Return if every blob is known to be right at this moment.

    Raises:
        ServiceError: `digest_mismatch`, somebody has found one wrong or removed it since it was checked.
    """
    wanted = [blob.digest for blob in blobs_of(uploaded.manifest)]
    known = await blobs.verified(connection, uploaded.place, wanted)
    if lost := [digest for digest in wanted if digest not in known]:
        raise _mismatch(lost, "were found wrong or removed meanwhile")


async def _check_base(connection: AsyncConnection, manifest: Manifest, tenant: str) -> Placed | None:
    """The base that an adapter names, which `tenant` must see.

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
    return versions.placed_of(found[0])


def _no_upload(upload_id: str) -> ServiceError:
    return ServiceError(
        "not_found",
        f"There is no upload `{upload_id[:64]}`; it may have expired. Begin the same one again: what was sent is"
        " kept for a while.",
        param="upload_id",
    )


def _misstated(digests: list[str]) -> ServiceError:
    return ServiceError(
        "invalid_manifest",
        f"The manifest states a BLAKE3 of {len(digests)} blob(s) that is not theirs ({digests[0][:12]}"
        f"{'…' if len(digests) > 1 else ''}); hash the files again.",
        param=digests[0],
    )


def _mismatch(digests: list[str], what: str) -> ServiceError:
    shown = ", ".join(digest[:12] for digest in digests[:5])
    return ServiceError(
        "digest_mismatch",
        f"{len(digests)} blob(s) {what} ({shown}{'…' if len(digests) > 5 else ''}); publish the same version again to"
        " send them.",
        param=digests[0],
    )
