"""Finding, showing, handing out, checking and retiring published versions."""

from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from libs.contracts.calls import Empty
from libs.contracts.registry import (
    UPLOAD_PAGE,
    BlobDownload,
    DeleteVersion,
    Fetch,
    FetchVersion,
    ListVersions,
    Resolve,
    Verification,
    Verify,
    VersionDetails,
    VersionPage,
)
from libs.contracts.versions import BadReferenceError, parse_reference, short_reference
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.objects import ObjectStore
from libs.kit.postgres import Database
from services.registry.domain.manifests import blobs_of
from services.registry.domain.places import WEIGHTS, BlobAt, Placed, blob_key
from services.registry.repository import aliases, blobs, deployments, versions
from services.registry.service.reading import BlobReader, FileReader
from services.registry.service.references import resolve

log = structlog.get_logger(__name__)

CARD: Final = "README.md"
_MAX_PAGE: Final = 500
_MAX_CARD_BYTES: Final = 128 << 10


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """What is published."""

    database: Database
    store: ObjectStore
    reader: BlobReader
    url_ttl_s: float

    async def list(self, request: ListVersions) -> VersionPage:
        """Versions, newest first.

        Raises:
            ServiceError: `invalid_value`, a page that does not exist or a limit out of range.
        """
        if not 1 <= request.limit <= _MAX_PAGE:
            raise ServiceError("invalid_value", f"`limit` must be between 1 and {_MAX_PAGE}.", param="limit")
        if request.before and not (request.before.isascii() and request.before.isdigit() and len(request.before) < 19):
            raise ServiceError("invalid_value", "`before` must be the `next` of an earlier page.", param="before")
        before = int(request.before) if request.before else None
        async with self.database.begin() as connection:
            rows = await versions.page(
                connection, request, dataset=_exact(request.dataset), before=before, limit=request.limit + 1
            )
            shown = rows[: request.limit]
            messages = await versions.to_messages(connection, shown)
        return VersionPage(messages, next=str(shown[-1].sequence) if len(rows) > request.limit else "")

    async def show(self, request: Resolve) -> VersionDetails:
        """One version with its manifest and its card, which is left out where it may hold words that are not asked for.

        Raises:
            ServiceError: `version_not_found`, `invalid_value`, `storage_unavailable`.
        """
        async with self.database.begin() as connection:
            row = await resolve(connection, request.reference, tenant=request.tenant)
            version = (await versions.to_messages(connection, [row]))[0]
        placed = versions.placed_of(row)
        is_shown = placed.manifest.kind in WEIGHTS or not request.weights_only
        card = await self._card(placed) if is_shown else ""
        return VersionDetails(version=version, manifest=placed.manifest, card=card)

    async def fetch(self, request: FetchVersion) -> Fetch:
        """A page of URLs to the version's blobs.

        Raises:
            ServiceError: `version_not_found`, `invalid_value`; `forbidden`, it may hold words of people.
        """
        if request.skip < 0:
            raise ServiceError("invalid_value", "`skip` must not be negative.", param="skip")
        async with self.database.begin() as connection:
            row = await resolve(connection, request.reference, tenant=request.tenant)
        manifest, place = versions.placed_of(row)
        if request.weights_only and manifest.kind not in WEIGHTS:
            text = f"A {manifest.kind.value} may hold what people wrote: this needs the permission `content:read`."
            raise ServiceError("forbidden", text, param="reference")
        wanted = blobs_of(manifest)
        page = wanted[request.skip : request.skip + UPLOAD_PAGE]
        urls = await self.store.sign_get([blob_key(place, blob.digest) for blob in page], self.url_ttl_s)
        return Fetch(
            digest=row.digest,
            manifest=manifest,
            downloads=tuple(BlobDownload(blob, url) for blob, url in zip(page, urls, strict=True)),
            total=len(wanted),
        )

    async def verify(self, request: Verify) -> Verification:
        """Read every blob back; what is wrong is remembered, so that publishing the same version again heals it.

        A blob that is right and misstated is only told of: nothing but another manifest helps.

        Raises:
            ServiceError: `version_not_found`, `invalid_value`, `storage_unavailable`.
        """
        async with self.database.begin() as connection:
            row = await resolve(connection, request.reference, tenant=request.tenant)
        manifest, place = versions.placed_of(row)
        wanted = blobs_of(manifest)
        wrong, misstated = await self.reader.faults(place, wanted)
        async with self.database.begin() as connection:
            for digest in sorted(wrong):
                log.error("blob of a version is missing or wrong", blob=digest, version=row.digest)
                await blobs.set_wrong(connection, BlobAt(place, digest))
        for digest in sorted(misstated):
            log.error("the manifest states another BLAKE3 of a blob", blob=digest, version=row.digest)
        return Verification(
            digest=row.digest,
            blobs=len(wanted),
            size_bytes=sum(blob.size_bytes for blob in wanted),
            bad=tuple(sorted(wrong)),
            misstated=tuple(sorted(misstated)),
        )

    async def delete(self, request: DeleteVersion) -> Empty:
        """Retire a version; garbage collection takes its blobs later.

        Raises:
            ServiceError: `version_in_use`, with what refers to it; `version_not_found`, `invalid_value`; `conflict`,
                it is the platform's.
        """
        async with self.database.begin() as connection:
            row = await resolve(connection, request.reference, tenant=request.tenant)
            # The lock that aliases, deployments and publications of adapters take before they come to rely on it.
            await versions.lock_names(connection, {row.name})
            if request.tenant and row.tenant != request.tenant:
                text = f"{short_reference(row.name, row.digest)} is the platform's; you may use it, but not retire it."
                raise ServiceError("conflict", text, param="reference")
            users = await _users(connection, row.digest)
            if users:
                raise ServiceError(
                    "version_in_use",
                    f"{short_reference(row.name, row.digest)} is used by {', '.join(users[:5])}"
                    f"{' and others' if len(users) > 5 else ''}; let go of it there first.",
                    param="reference",
                )
            await versions.remove(connection, row.digest)
        log.info(
            "version deleted",
            version=short_reference(row.name, row.digest),
            author=request.author,
            at=clock.rfc3339(clock.unix_ms()),
        )
        return Empty()

    async def _card(self, placed: Placed) -> str:
        card = next((file for file in placed.manifest.files if file.path == CARD), None)
        if card is None:
            return ""
        content = await FileReader(self.store, placed)(CARD, 0, min(card.size_bytes, _MAX_CARD_BYTES))
        return content.decode("utf-8", errors="replace")


def _exact(reference: str) -> str:
    """What the short and the full form of an exact reference begin with; empty where none is asked for."""
    if not reference:
        return ""
    try:
        parsed = parse_reference(reference)
    except BadReferenceError as error:
        raise ServiceError("invalid_value", str(error), param="dataset") from error
    if not parsed.digest:
        raise ServiceError("invalid_value", "`dataset` must be exact: `<name>@sha256:<digest>`.", param="dataset")
    return f"{parsed.name}@sha256:{parsed.digest}"


async def _users(connection: AsyncConnection, digest: str) -> list[str]:
    """What refers to a version, in words."""
    return [
        *(f"alias {name}" for name in await aliases.pointing_to(connection, digest)),
        *(f"deployment {pool}" for pool in await deployments.using(connection, digest)),
        *(f"adapter {adapter}" for adapter in await versions.adapters_of(connection, digest)),
    ]
