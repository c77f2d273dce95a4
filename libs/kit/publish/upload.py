"""Sends a scanned directory: asks what is missing, puts it by presigned URL several at a time, then commits."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx2
import msgspec
import structlog

from libs.contracts.errors import spec_of
from libs.contracts.registry import BeginUpload, BlobUpload, CommitUpload, Upload, Version
from libs.kit.errors import ServiceError
from libs.kit.publish.manifest import Meter, Piece, Progress, Scan, changed
from libs.kit.registry_client import Registry

T = TypeVar("T")
log = structlog.get_logger(__name__)

_DONE: Final = (200, 201, 204)
_PART_BYTES: Final = 1 << 20
_EXPIRED: Final = (401, 403)
_WRONG_BYTES: Final = 400
_SERVER_ERROR: Final = 500
_FULL: Final = 507
_MAKE_ROOM: Final = (
    "Free space (`./llmos models gc --delete`) or give it more, and publish again: what was sent is kept."
)
_MOST_ROUNDS_WITHOUT_PROGRESS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to send.

    Attributes:
        parallel: blobs on their way at the same time.
        attempts: how often a blob, or a call, is tried.
        pause_s: before the second try; doubled each time, at most `most_pause_s`.
        put_timeout_s: without any byte moving.
        tenant: who publishes; empty: the platform.
        owner: where the platform does, the tenant whose version it becomes.
    """

    parallel: int = 4
    attempts: int = 6
    pause_s: float = 0.25
    most_pause_s: float = 8.0
    put_timeout_s: float = 120.0
    tenant: str = ""
    owner: str = ""


class _StaleError(Exception):
    """The URL is not accepted any more; a fresh one is needed."""


class _Parts:
    """A blob's bytes, read as they are sent, so that progress is seen and nothing of it waits in memory."""

    def __init__(self, piece: Piece, meter: Meter | None) -> None:
        self._piece, self._meter = piece, meter
        self._counted = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, self._piece.size_bytes, _PART_BYTES):
            yield await asyncio.to_thread(self._read, at)
            self._count(min(_PART_BYTES, self._piece.size_bytes - at))

    def take_back(self) -> None:
        """All of it has to be sent again."""
        self._count(-self._counted)

    def _read(self, at: int) -> bytes:
        try:
            part = self._piece.part(at, _PART_BYTES)
        except OSError as error:
            raise changed(str(self._piece.path)) from error
        if len(part) < min(_PART_BYTES, self._piece.size_bytes - at):
            raise changed(str(self._piece.path))
        return part

    def _count(self, sent: int) -> None:
        self._counted += sent
        if self._meter is not None:
            self._meter.add(sent)


def _check(answer: httpx2.Response) -> None:
    if answer.status_code in _EXPIRED:
        raise _StaleError
    if answer.status_code not in _DONE:
        said = " ".join(answer.text[:200].split())
        text = f"The object storage refused a blob with status {answer.status_code}: {said}"
        if answer.status_code == _FULL:
            raise ServiceError("disk_full", f"{text}. {_MAKE_ROOM}")
        hint = f" It may be full. {_MAKE_ROOM}" if answer.status_code >= _SERVER_ERROR else ""
        raise ServiceError("storage_unavailable", text + hint)


def _md5(piece: Piece, digest: str) -> str:
    """The MD5 of a blob that is still what was hashed, as the header has it.

    Raises:
        ServiceError: `digest_mismatch`: it is something else.
    """
    whole, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        for at in range(0, piece.size_bytes, _PART_BYTES):
            part = piece.part(at, _PART_BYTES)
            whole.update(part)
            md5.update(part)
    except OSError as error:
        raise changed(str(piece.path)) from error
    if whole.hexdigest() != digest:
        raise changed(str(piece.path))
    return base64.b64encode(md5.digest()).decode("ascii")


async def publish(
    registry: Registry,
    found: Scan,
    author: str,
    *,
    options: Options | None = None,
    progress: Progress = lambda *_: None,
) -> Version:
    """Publish `found`; what the registry has already is not sent, and a repeated call goes on where the last stopped.

    Raises:
        ServiceError: the registry's refusal; `storage_unavailable` or `registry_unavailable` when every try failed;
            `digest_mismatch` if a file changed or a blob arrived broken.
    """
    options = options or Options()
    timeout = httpx2.Timeout(options.put_timeout_s, connect=10)
    # Proxies are for the outside; the object storage belongs to the installation.
    async with httpx2.AsyncClient(timeout=timeout, trust_env=False) as http:
        return await _Publication(registry, found, author, options, progress, http).run()


class _Publication:
    """One version on its way."""

    def __init__(
        self,
        registry: Registry,
        found: Scan,
        author: str,
        options: Options,
        progress: Progress,
        http: httpx2.AsyncClient,
    ) -> None:
        self._registry = registry
        self._found = found
        self._begin = BeginUpload(manifest=found.manifest, author=author, tenant=options.tenant, owner=options.owner)
        self._options = options
        self._progress = progress
        self._http = http
        self._meter: Meter | None = None
        self._room = asyncio.Semaphore(options.parallel)

    async def run(self) -> Version:
        """Send and commit; a commit whose answer was lost is found by beginning again."""
        left = self._options.attempts
        while (upload := await self._send_all()).published is None:
            left -= 1
            self._progress("commit", 0, 0)
            try:
                commit = CommitUpload(upload.upload_id, self._options.tenant)
                version: Version = await self._registry.call("upload_commit", commit)
            except ServiceError as error:
                if not left or not spec_of(error.code).retryable:
                    raise
                log.info("committing again", error=error.message)
                await asyncio.sleep(self._options.pause_s)
            else:
                return version
        return upload.published

    async def _send_all(self) -> Upload:
        """Send until nothing is missing; URLs come in pages, and expire."""
        idle, least = 0, None
        while True:
            upload: Upload = await self._call("upload_begin", self._begin)
            if upload.published is not None or not upload.missing:
                return upload
            if least is not None and upload.missing_total >= least:
                idle += 1
                if idle >= _MOST_ROUNDS_WITHOUT_PROGRESS:
                    text = "The object storage took the bytes, but the registry does not find them there."
                    raise ServiceError("storage_unavailable", text)
            least = upload.missing_total
            complete = await self._send_page(upload)
            if complete and upload.missing_total <= len(upload.missing):
                return upload

    async def _send_page(self, upload: Upload) -> bool:
        """Send one page; False if URLs expired on the way and fresh ones are needed."""
        if self._meter is None:
            lacking = sum(each.blob.size_bytes for each in upload.missing)
            known = sum(piece.size_bytes for piece in self._found.pieces.values())
            paged = upload.missing_total > len(upload.missing)
            self._meter = Meter("upload", known if paged else lacking, self._progress)
        tasks = [asyncio.create_task(self._send(each)) for each in upload.missing]
        try:
            results = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        return all(results)

    async def _send(self, target: BlobUpload) -> bool:
        piece = self._found.pieces.get(target.blob.digest)
        if piece is None:
            raise ServiceError("internal_error", f"The registry asks for a blob {target.blob.digest} that is not here.")
        async with self._room:
            headers = {"content-length": str(piece.size_bytes), "content-type": "application/octet-stream"}
            # Where the URL is bound to the bytes, the store refuses what has changed since it was hashed.
            headers |= target.headers or {"content-md5": await asyncio.to_thread(_md5, piece, target.blob.digest)}
            try:
                await self._retried(lambda: self._put(target, piece, headers))
            except _StaleError:
                return False
        return True

    async def _put(self, target: BlobUpload, piece: Piece, headers: dict[str, str]) -> None:
        parts = _Parts(piece, self._meter)
        try:
            answer = await self._http.put(target.url, content=parts, headers=headers)
            if answer.status_code == _WRONG_BYTES:
                await asyncio.to_thread(_md5, piece, target.blob.digest)
            _check(answer)
        except httpx2.HTTPError as error:
            parts.take_back()
            reason = str(error) or type(error).__name__
            raise ServiceError("storage_unavailable", f"The object storage cannot be reached: {reason}.") from error
        except (ServiceError, _StaleError):
            parts.take_back()
            raise

    async def _call(self, operation: str, request: msgspec.Struct) -> Any:
        return await self._retried(lambda: self._registry.call(operation, request))

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try until it works or the tries are used up; only what trying again can help is tried again."""
        pause_s = self._options.pause_s
        for left in range(self._options.attempts - 1, -1, -1):
            try:
                return await attempt()
            except ServiceError as error:
                if not left or not spec_of(error.code).retryable:
                    raise
                log.info("trying again", after_s=pause_s, error=error.message)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._options.most_pause_s)
        raise AssertionError("there is at least one try")
