"""Where a model's files are, and the digest that names their version."""

import hashlib
import json
from pathlib import Path
from typing import Final

MANIFEST: Final = "manifest.json"
_CARD: Final = "README.md"
_INDEX: Final = "model.safetensors.index.json"
_HASH_UP_TO_BYTES: Final = 1 << 30
_VERSION_DIGITS: Final = 12
_READ_BYTES: Final = 1 << 20
_UNSAFE: Final = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.msgpack", "*.h5", "*.onnx", "*.gguf", "*.py")


class ModelFilesError(ValueError):
    """The model is not there, or its files are not those that its manifest names."""


def locate(model: str) -> Path:
    """The directory of `model`: itself, or the local copy of a Hugging Face name, fetched if it is not here yet.

    Weights in formats that can run code are never fetched.

    Raises:
        ModelFilesError: no name given, or neither a directory nor a known name.
    """
    if not model:
        raise ModelFilesError("no model given: set INFERENCE_MODEL to a directory or a Hugging Face name")
    directory = Path(model)
    if directory.is_dir():
        return directory
    if directory.is_absolute() or model.startswith("."):
        raise ModelFilesError(f"no such directory: {model}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only here, and only for names
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(model, ignore_patterns=list(_UNSAFE)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise ModelFilesError(f"{model} is neither a directory nor a model that can be fetched: {error}") from error


def version_of(directory: Path) -> str:
    """Twelve hex digits that change whenever the model does.

    Up to 1 GiB every byte counts; above it the configuration, the index, and the names and sizes of all files.

    Raises:
        ModelFilesError: a manifest is there and a file differs from it.
    """
    files = sorted(path for path in directory.iterdir() if path.is_file() and path.name not in {MANIFEST, _CARD})
    if sum(path.stat().st_size for path in files) > _HASH_UP_TO_BYTES:
        return _digest([_light_line(path) for path in files])[:_VERSION_DIGITS]
    digests = {path.name: _digest_file(path) for path in files}
    _check_manifest(directory / MANIFEST, digests)
    return _digest([f"{digest}  {name}" for name, digest in digests.items()])[:_VERSION_DIGITS]


def native_dtype(directory: Path) -> str:
    """Number format of the weights as `config.json` states it, or an empty text."""
    try:
        config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(config.get("dtype") or config.get("torch_dtype") or "")


def _light_line(path: Path) -> str:
    small = path.name in {"config.json", _INDEX}
    return f"{path.name} {path.stat().st_size} {_digest_file(path) if small else ''}"


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_READ_BYTES):
            digest.update(part)
    return digest.hexdigest()


def _digest(lines: list[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _check_manifest(manifest: Path, digests: dict[str, str]) -> None:
    """Compare with the manifest that our own recipes write; other files of that name mean something else."""
    try:
        named = json.loads(manifest.read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if not isinstance(named, dict):
        return
    changed = sorted(name for name, digest in digests.items() if named.get(name, digest) != digest)
    missing = sorted(name for name in named if name not in digests and name != _CARD)
    if changed or missing:
        raise ModelFilesError(f"the files differ from {manifest}: changed {changed}, missing {missing}")
