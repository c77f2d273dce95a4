"""Checkpoints on disk: safetensors and JSON, and a manifest, written last, without which there is no checkpoint."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file, save_file

from services.trainer.recipes.parts.tree import Tensors, pack, unpack

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
KEEP: Final = 2
_CHUNK_BYTES: Final = 1 << 20


class Checkpoints:
    """The checkpoints of one job: one folder per step below `directory`."""

    def __init__(self, directory: Path, inputs: str) -> None:
        """`inputs` is the digest of what decides the weights; a checkpoint of other inputs is none of this job's."""
        self.directory = directory
        self.inputs = inputs

    def begin(self, step: int) -> Path:
        """An empty folder for the checkpoint of `step`."""
        folder = self.directory / str(step)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def finish(self, step: int) -> None:
        """Make the folder of `step` a checkpoint, and keep no more than two."""
        folder = self.directory / str(step)
        files = {path.name: _facts(path) for path in sorted(folder.iterdir())}
        document = {"format": FORMAT, "step": step, "inputs": self.inputs, "files": files}
        draft = folder / f".{MANIFEST}"
        write_text(draft, json.dumps(document, indent=1, sort_keys=True) + "\n")
        draft.rename(folder / MANIFEST)
        _sync(folder)
        _sync(self.directory)
        for old in self._steps()[KEEP:]:
            shutil.rmtree(self.directory / str(old))

    def newest(self, say: Callable[[str], None]) -> Path | None:
        """The newest checkpoint whose every byte is what its manifest says; all that is none is removed."""
        found: Path | None = None
        for step in self._steps():
            folder = self.directory / str(step)
            if fault := self._fault(folder, step):
                say(f"The checkpoint of step {step} is not used: {fault}.")
                shutil.rmtree(folder)
            elif found is None:
                found = folder
        return found

    def _steps(self) -> list[int]:
        """Newest first."""
        if not self.directory.is_dir():
            return []
        return sorted((int(path.name) for path in self.directory.iterdir() if path.name.isdecimal()), reverse=True)

    def _fault(self, folder: Path, step: int) -> str:
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] != FORMAT or manifest["step"] != step:
                return "its manifest is of another kind"
            if manifest["inputs"] != self.inputs:
                return "it was made from other data, another base or another recipe"
            files: dict[str, Any] = manifest["files"]
            for name, facts in files.items():
                if Path(name).name != name or _facts(folder / name) != facts:
                    return f"{name} is not what its manifest says"
        except FileNotFoundError as error:
            return f"{Path(error.filename).name} is missing"
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its manifest cannot be read"
        return ""


def save_state(folder: Path, name: str, state: Any) -> None:
    """Write a state dict as `<name>.json` and, if it has tensors, `<name>.safetensors`."""
    tensors: Tensors = {}
    tree = unpack(state, tensors)
    # The registry takes no file of weights that holds none.
    if tensors:
        # Two names for one tensor are refused by the format; a copy costs little.
        save_file({path: tensor.clone() for path, tensor in tensors.items()}, folder / f"{name}.safetensors")
        _finish_weights(folder / f"{name}.safetensors")
    write_text(folder / f"{name}.json", json.dumps(tree))


def load_state(folder: Path, name: str) -> Any:
    """The state dict that was written as `name`."""
    place = folder / f"{name}.safetensors"
    tensors = load_file(place) if place.exists() else {}
    return pack(json.loads((folder / f"{name}.json").read_text(encoding="utf-8")), tensors)


def save_weights(folder: Path, model: Any) -> None:
    """Write every weight that is taught as `weights.safetensors`."""
    weights = {name: one.detach().cpu().contiguous() for name, one in _taught(model)}
    save_file(weights, folder / "weights.safetensors")
    _finish_weights(folder / "weights.safetensors")


def load_weights(folder: Path, model: Any) -> None:
    """Put the written weights back in their places."""
    weights = load_file(folder / "weights.safetensors")
    with torch.no_grad():
        for name, one in _taught(model):
            one.copy_(weights[name])


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            hashed.update(chunk)
    return hashed.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write a file that is on disk when this returns."""
    path.write_text(text, encoding="utf-8")
    _sync(path)


def _finish_weights(path: Path) -> None:
    # The library writes them for one user only; others fetch and back up.
    path.chmod(0o644)
    _sync(path)


def _taught(model: Any) -> list[tuple[str, torch.Tensor]]:
    return [(name, one) for name, one in model.named_parameters() if one.requires_grad]


def _facts(path: Path) -> dict[str, Any]:
    return {"sha256": digest_of(path), "size_bytes": path.stat().st_size}


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
