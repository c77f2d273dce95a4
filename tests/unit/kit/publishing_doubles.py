"""An object storage that misbehaves on request, and a registry that keeps its books in memory."""

import asyncio
import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from libs.contracts.registry import BeginUpload, Blob, BlobUpload, CommitUpload, Upload, Version
from libs.contracts.versions import digest_of, short_reference
from libs.kit.errors import ServiceError

CHECKSUM = "x-amz-checksum-sha256"


def _base64(algorithm: str, content: bytes) -> str:
    return base64.b64encode(hashlib.new(algorithm, content, usedforsecurity=False).digest()).decode()


def _judged(headers: dict[str, str], body: bytes) -> int:
    """The status with which a store refuses these bytes; 0 if it takes them."""
    told = {"md5": headers.get("content-md5"), "sha256": headers.get(CHECKSUM)}
    if not any(told.values()):
        return 403
    return 400 if any(said and said != _base64(algorithm, body) for algorithm, said in told.items()) else 0


@dataclass
class Store:
    """Takes PUTs over HTTP; `faults` are used up one per request: a status, or "cut" to drop the connection."""

    objects: dict[str, bytes] = field(default_factory=dict)
    faults: list[int | str] = field(default_factory=list)
    puts: list[str] = field(default_factory=list)
    together: asyncio.Barrier | None = None
    """Answers only so many requests at a time, and only when all of them are there."""
    at_once: int = 0
    most_at_once: int = 0
    on_put: Callable[[str], None] = lambda _: None
    valid: set[str] = field(default_factory=lambda: {"1"})
    """URL tokens that are accepted; others are answered 403."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                status = await self._take(head, reader)
                self.at_once -= 1
                if not status:
                    break
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    async def _take(self, head: bytes, reader: asyncio.StreamReader) -> int:
        line, *rest = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (text.split(": ", 1) for text in rest)}
        path, _, token = line.split(" ")[1].partition("?token=")
        fault = self.faults.pop(0) if self.faults else 200
        if fault == "cut":
            return 0
        body = await reader.readexactly(int(headers["content-length"]))
        if self.together is not None:
            await asyncio.wait_for(self.together.wait(), 10)
        key = path.lstrip("/")
        self.on_put(key)
        self.puts.append(key)
        if token not in self.valid:
            return 403
        if fault != 200:
            return int(fault)
        if status := _judged(headers, body):
            return status
        self.objects[key] = body
        return 200


@dataclass
class Registry:
    """Answers as the contract says; faults are used up one per call of the operation."""

    store: Store
    page: int = 256
    is_bound: bool = True
    """Whether its URLs take one content only."""
    token: Callable[[], str] = lambda: "1"
    versions: dict[str, Version] = field(default_factory=dict)
    begun: dict[str, BeginUpload] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    """Per operation: a code, `!code` if the work is done and only the answer lost, or "" for none."""
    calls: list[str] = field(default_factory=list)

    async def call(self, operation: str, request: msgspec.Struct) -> Any:
        self.calls.append(operation)
        faults = self.faults.get(operation, [])
        fault = faults.pop(0) if faults else ""
        if fault and not fault.startswith("!"):
            raise ServiceError(fault, "as the test wants it")
        result = self._do(request)
        if fault:
            raise ServiceError(fault[1:], "as the test wants it")
        return result

    def _do(self, request: msgspec.Struct) -> Any:
        if isinstance(request, BeginUpload):
            return self._begin(request)
        assert isinstance(request, CommitUpload)
        return self._commit(self.begun[request.upload_id])

    def _begin(self, request: BeginUpload) -> Upload:
        digest = digest_of(request.manifest)
        self.begun[digest] = request
        blobs = {blob.digest: blob for file in request.manifest.files for blob in file.blobs}
        lacking = [blob for blob in blobs.values() if blob.digest not in self.store.objects]
        urls = [
            BlobUpload(blob, f"{self.store.url}/{blob.digest}?token={self.token()}", self._headers(blob))
            for blob in lacking
        ]
        return Upload(
            upload_id=digest,
            digest=digest,
            expires_ms=0,
            missing=() if digest in self.versions else tuple(urls[: self.page]),
            missing_total=len(lacking),
            published=self.versions.get(digest),
        )

    def _headers(self, blob: Blob) -> dict[str, str]:
        return {CHECKSUM: base64.b64encode(bytes.fromhex(blob.digest)).decode()} if self.is_bound else {}

    def _commit(self, request: BeginUpload) -> Version:
        manifest, digest = request.manifest, digest_of(request.manifest)
        for file in manifest.files:
            for blob in file.blobs:
                if hashlib.sha256(self.store.objects[blob.digest]).hexdigest() != blob.digest:
                    raise ServiceError("digest_mismatch", file.path)
        self.versions[digest] = Version(
            reference=short_reference(manifest.name, digest),
            name=manifest.name,
            digest=digest,
            kind=manifest.kind,
            number=1,
            size_bytes=sum(file.size_bytes for file in manifest.files),
            published_ms=1,
            published_by=request.author,
            base=manifest.base,
        )
        return self.versions[digest]
