"""S3: the one door to objects, with URLs for those who may not have the keys, and one error for "it is away"."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

import obstore
import structlog
from minio import Minio
from minio.commonconfig import ENABLED
from minio.error import MinioException, S3Error
from minio.versioningconfig import VersioningConfig
from obstore.exceptions import BaseError
from obstore.store import S3Store
from urllib3 import PoolManager
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from libs.kit.errors import ServiceError
from libs.kit.metrics.parts import STORE_FAILURES
from libs.kit.settings import ObjectSettings
from libs.kit.starting import StartError
from libs.kit.telemetry import attributes as names
from libs.kit.telemetry.tracing import Kind, Step

log = structlog.get_logger(__name__)

_STREAM_BYTES: Final = 4 << 20
_LIST_PAGE: Final = 1_000
_LOOK_S: Final = 5.0
"""How long a process that starts looks for its bucket."""
_LOOK_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object as a list shows it."""

    key: str
    size_bytes: int
    modified_ms: int
    """Unix time."""


class ObjectStore:
    """Objects of one bucket below one prefix; keys are given and returned without it.

    Every method raises `ServiceError` with `storage_unavailable` when S3 does not answer or refuses us.
    """

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._store = _store(settings, settings.endpoint)
        self._signer = _store(settings, settings.public_endpoint or settings.endpoint)

    async def head(self, key: str) -> int | None:
        """Size of the object in bytes; None if there is none."""
        with asking(self._settings, "head"):
            try:
                return int((await obstore.head_async(self._store, self._prefix + key))["size"])
            except FileNotFoundError:
                return None

    async def answers(self) -> None:
        """Ask it for nothing that it has."""
        await self.head("nothing")

    async def check_bucket(self) -> None:
        """Return if the bucket is there and lets us in, or if S3 is away: that may pass.

        Raises:
            StartError: there is no such bucket, or we may not use it.
        """
        bucket, endpoint = self._settings.bucket, self._settings.endpoint
        try:
            async with asyncio.timeout(_LOOK_S):
                while not await self._has_bucket():  # noqa: ASYNC110 - nobody tells when it is there
                    # SeaweedFS denies for a moment that it has a bucket which was made just now.
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError:
            text = f"{endpoint} has no bucket {bucket!r}: name one that is there, or have it made (s3-setup)."
            raise StartError("OBJECTS__BUCKET", text) from None
        except ServiceError as error:
            if isinstance(error.__cause__, S3Error):
                refused = f"{endpoint} refuses us the bucket {bucket!r} ({error.__cause__.code})"
                text = f"{refused}: give keys that may use it."
                raise StartError("OBJECTS__SECRET_KEY_FILE", text) from error
            log.warning("the object store is away", reason=error.message)

    async def _has_bucket(self) -> bool:
        """Whether it is there; a store that says nothing within the time of a look is away."""
        looking = asyncio.to_thread(self._administrator(_LOOK_S / 2).bucket_exists, self._settings.bucket)
        with unavailable():
            return await looking

    async def put(self, key: str, content: bytes) -> None:
        """Store `content`, replacing what was there."""
        with asking(self._settings, "put"):
            await obstore.put_async(self._store, self._prefix + key, content, use_multipart=False)

    async def get(self, key: str) -> bytes | None:
        """The whole object; None if there is none."""
        with asking(self._settings, "get"):
            try:
                return bytes(await (await obstore.get_async(self._store, self._prefix + key)).bytes_async())
            except FileNotFoundError:
                return None

    async def view(self, key: str) -> memoryview:
        """The whole object without copying it once more; empty if there is none."""
        with asking(self._settings, "view"):
            try:
                return memoryview(await (await obstore.get_async(self._store, self._prefix + key)).bytes_async())
            except FileNotFoundError:
                return memoryview(b"")

    async def get_range(self, key: str, start: int, length: int) -> bytes | None:
        """At most `length` bytes (above 0) from `start` on; None if there is no object."""
        with asking(self._settings, "get_range"):
            try:
                return bytes(await obstore.get_range_async(self._store, self._prefix + key, start=start, length=length))
            except FileNotFoundError:
                return None

    async def stream(self, key: str) -> AsyncIterator[bytes]:
        """The object's bytes in order, in parts of some MiB; none at all if there is no object."""
        with asking(self._settings, "stream"):
            try:
                answer = await obstore.get_async(self._store, self._prefix + key)
            except FileNotFoundError:
                return
            async for part in answer.stream(min_chunk_size=_STREAM_BYTES):
                yield bytes(part)

    async def walk(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """Every object below `prefix` (a whole path part), in the store's order."""
        with asking(self._settings, "walk"):
            pages = obstore.list(self._store, self._prefix + prefix, chunk_size=_LIST_PAGE)
            async for page in pages:
                for item in page:
                    yield StoredObject(
                        key=item["path"].removeprefix(self._prefix),
                        size_bytes=int(item["size"]),
                        modified_ms=_unix_ms(item["last_modified"]),
                    )

    async def delete(self, key: str) -> None:
        """Remove the object; one that is gone already does not matter. A versioned bucket keeps what it was."""
        with asking(self._settings, "delete"), contextlib.suppress(FileNotFoundError):
            await obstore.delete_async(self._store, self._prefix + key)

    async def sign_get(self, keys: Sequence[str], ttl_s: float) -> list[str]:
        """URLs from which anyone may read these objects for `ttl_s` seconds."""
        return await self._sign("GET", keys, ttl_s)

    async def sign_put(self, keys: Sequence[str], ttl_s: float) -> list[str]:
        """URLs to which anyone may write these objects for `ttl_s` seconds."""
        return await self._sign("PUT", keys, ttl_s)

    async def keep_versions(self) -> None:
        """Turn the bucket's versioning on, so that a deleted or overwritten object can be had back."""
        with asking(self._settings, "keep_versions"):
            await asyncio.to_thread(
                self._administrator().set_bucket_versioning, self._settings.bucket, VersioningConfig(ENABLED)
            )

    async def purge_versions(self, prefix: str, older_than: datetime) -> int:
        """Remove for good what was deleted or replaced before `older_than`; the number of versions removed."""
        with asking(self._settings, "purge_versions"):
            return await asyncio.to_thread(self._purge, self._prefix + prefix, older_than)

    async def _sign(self, method: Literal["GET", "PUT"], keys: Sequence[str], ttl_s: float) -> list[str]:
        if not keys:
            return []
        paths = [self._prefix + key for key in keys]
        with unavailable():
            return list(await obstore.sign_async(self._signer, method, paths, timedelta(seconds=ttl_s)))

    def _purge(self, prefix: str, older_than: datetime) -> int:
        """An old version was given up when its successor was made; a mark of deletion when it was made itself."""
        client, bucket = self._administrator(), self._settings.bucket
        versions = defaultdict(list)
        for item in client.list_objects(bucket, prefix=prefix, recursive=True, include_version=True):
            versions[item.object_name].append(item)
        removed = 0
        for key, items in sorted(versions.items()):
            items.sort(key=lambda item: (item.is_latest == "true", item.last_modified))
            # Oldest first: were a mark of deletion the first to go, a kill would bring back what it hides.
            for item, successor in zip(items, [*items[1:], None], strict=True):
                given_up = successor or (item if item.is_delete_marker else None)
                if given_up is None or given_up.last_modified >= older_than:
                    break
                client.remove_object(bucket, key, version_id=item.version_id)
                removed += 1
        return removed

    def _administrator(self, timeout_s: float = 0.0) -> Minio:
        """A client of the calls that concern the bucket and not its objects; obstore has none of them.

        With `timeout_s` it asks once; otherwise as the settings say.
        """
        address = urlsplit(self._settings.endpoint)
        access, secret = self._settings.keys()
        return Minio(
            address.netloc,
            access,
            secret,
            secure=address.scheme == "https",
            region=self._settings.region,
            http_client=PoolManager(
                timeout=Timeout(timeout_s or self._settings.timeout_s), retries=False if timeout_s else 2
            ),
        )


def _store(settings: ObjectSettings, endpoint: str) -> S3Store:
    access, secret = settings.keys()
    return S3Store(
        settings.bucket,
        config={
            "endpoint": endpoint,
            "region": settings.region,
            "access_key_id": access,
            "secret_access_key": secret,
            "virtual_hosted_style_request": False,
        },
        client_options={
            "allow_http": True,
            "timeout": timedelta(seconds=settings.timeout_s),
            "connect_timeout": timedelta(seconds=min(2.0, settings.timeout_s)),
        },
        retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=settings.timeout_s)},
    )


@contextlib.contextmanager
def asking(settings: ObjectSettings, operation: str) -> Iterator[None]:
    """One thing asked of S3: `unavailable`, and a span where it belongs to a trace."""
    with Step(f"S3 {operation}", Kind.CLIENT, {names.S3_BUCKET: settings.bucket}), unavailable():
        yield


@contextlib.contextmanager
def unavailable() -> Iterator[None]:
    """Whatever an S3 client raises in this block becomes one error.

    Raises:
        ServiceError: `storage_unavailable`.
    """
    try:
        yield
    except (BaseError, OSError, HTTPError, MinioException, S3Error) as error:
        STORE_FAILURES.inc()
        reason = str(error).splitlines()[0][:200]
        raise ServiceError(
            "storage_unavailable", f"The object store does not answer ({reason}); try again.", retry_after_s=1
        ) from error


def _unix_ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)
