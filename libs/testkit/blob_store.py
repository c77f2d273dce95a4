"""A store of blobs over HTTP in threads of this process, that fails as it is told: for whoever fetches versions."""

import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

from blake3 import blake3

from libs.contracts.registry import BLOB_BYTES, Blob, BlobDownload, Fetch, Kind, Manifest, ManifestFile
from libs.contracts.versions import digest_of, file_digest, full_reference

PAGE: Final = 256


@dataclass(frozen=True)
class Stored:
    """One version in the store."""

    manifest: Manifest
    digest: str

    @property
    def full(self) -> str:
        """Its full reference."""
        return full_reference(self.manifest.name, self.digest)


class BlobStore:
    """Serves blobs by URL; enter it with `with`.

    `faults` are used up one per request: `wrong`, `short`, `long`, `cut` (the connection breaks in the middle),
    `leave` (all is well, and then the connection is closed, which nobody was told), `stall` (nothing comes until the
    store is left), or an HTTP status such as `503`.
    """

    def __init__(self, page: int = PAGE, encryption: ssl.SSLContext | None = None) -> None:
        """Begin empty; with `encryption` its URLs are `https`."""
        self.blobs: dict[str, bytes] = {}
        self.versions: dict[str, Stored] = {}
        self.faults: list[str] = []
        self.served: list[str] = []
        """Digests asked for, in order."""
        self.gate = threading.Event()
        """Clear it, and every answer waits until it is set."""
        self.gate.set()
        self.closing = threading.Event()
        self.token = "1"
        """URLs with another one have expired."""
        self._page = page
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self._server.daemon_threads = True
        self._scheme = "https" if encryption else "http"
        if encryption:
            self._server.socket = encryption.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.gate.set()
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def publish(self, directory: Path, name: str, kind: Kind = Kind.MODEL, base: str = "") -> Stored:
        """Take a directory in as a version, whatever is in it."""
        files = sorted(path for path in directory.rglob("*") if path.is_file())
        listed = tuple(self._whole(path.relative_to(directory).as_posix(), path.read_bytes()) for path in files)
        return self.add(Manifest(name=name, kind=kind, files=listed, base=base))

    def add(self, manifest: Manifest) -> Stored:
        """Take a manifest in whose blobs are here already, or never will be."""
        stored = Stored(manifest, digest_of(manifest))
        self.versions[stored.digest] = stored
        return stored

    def put(self, data: bytes) -> str:
        """Take one blob in; its digest."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return digest

    def _whole(self, path: str, data: bytes) -> ManifestFile:
        return self.file(path, (data[at : at + BLOB_BYTES] for at in range(0, len(data), BLOB_BYTES)))

    def file(self, path: str, parts: Iterable[bytes], *, states_blake3: bool = True) -> ManifestFile:
        """Take the parts of a file in; what a manifest says of it."""
        blobs = tuple(
            Blob(self.put(part), len(part), blake3(part).hexdigest() if states_blake3 else "") for part in parts
        )
        return ManifestFile(path, file_digest(blobs), sum(blob.size_bytes for blob in blobs), blobs)

    def fetch(self, digest: str, skip: int) -> Fetch:
        """One page, as the registry answers."""
        manifest = self.versions[digest].manifest
        distinct = list(dict.fromkeys(blob for file in manifest.files for blob in file.blobs))
        address = f"{self._scheme}://127.0.0.1:{self._server.server_port}"
        downloads = tuple(
            BlobDownload(blob, f"{address}/{blob.digest}?{self.token}") for blob in distinct[skip : skip + self._page]
        )
        return Fetch(digest, manifest, downloads, len(distinct))

    def take_fault(self, digest: str) -> str:
        """Note the request; what goes wrong with it."""
        with self._lock:
            self.served.append(digest)
            return self.faults.pop(0) if self.faults else ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: BlobStore

    def do_GET(self) -> None:
        """Serve one blob, or what its fault makes of it."""
        digest, _, token = self.path.removeprefix("/").partition("?")
        fault = self.store.take_fault(digest)
        self.store.gate.wait()
        if token != self.store.token:
            fault = "403"
        data = self.store.blobs.get(digest)
        if fault.isdigit() or data is None:
            self._answer(int(fault or 404), b"no")
            return
        if fault == "stall":
            self.store.closing.wait()
        if fault == "cut":
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])
            self.close_connection = True
            return
        changes = {"wrong": bytes([data[0] ^ 1]) + data[1:], "short": data[:-1], "long": data + b"x"}
        self._answer(200, changes.get(fault, data))
        if fault == "leave":
            self.close_connection = True

    def _answer(self, status: int, body: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""
