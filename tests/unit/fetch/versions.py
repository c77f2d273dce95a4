"""Small versions to fetch, and how to ask for them."""

from pathlib import Path

from libs.contracts.registry import Fetch, Kind, Manifest, ManifestFile
from libs.kit.clock import seeded_random
from libs.kit.fetch import FetchOptions, Pages
from libs.testkit.blob_store import BlobStore, Stored

QUICK = FetchOptions(pause_s=0.001, max_pause_s=0.002, read_timeout_s=0.3, connect_timeout_s=1.0, attempts=4)


def pages(store: BlobStore, stored: Stored) -> Pages:
    """Ask the store itself, as one asks the registry."""

    async def ask(skip: int) -> Fetch:
        return store.fetch(stored.digest, skip)

    return ask


def data(size_bytes: int, seed: int = 1) -> bytes:
    """Bytes that repeat from run to run."""
    return seeded_random(seed).randbytes(size_bytes)


def cut(store: BlobStore, path: str, content: bytes, blob_bytes: int, *, states_blake3: bool = True) -> ManifestFile:
    """A file of several small blobs."""
    parts = (content[at : at + blob_bytes] for at in range(0, len(content), blob_bytes))
    return store.file(path, parts, states_blake3=states_blake3)


def version(store: BlobStore, *files: ManifestFile, name: str = "helpdesk") -> Stored:
    """A version of these files."""
    return store.add(Manifest(name=name, kind=Kind.MODEL, files=tuple(files)))


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below `directory`."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def names(directory: Path) -> list[str]:
    """What is in `directory`, hidden or not."""
    return sorted(path.name for path in directory.iterdir())
