"""Which files a version may hold: rules that publishers check before they send and the registry before it believes.

Model and adapter versions hold weights as safetensors and texts around them, checkpoints safetensors and JSON; nothing
that runs when it is loaded.
"""

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from libs.contracts.registry import Kind
from libs.kit.chat_templates import check_template
from libs.kit.errors import ServiceError
from libs.kit.safetensors_header import LENGTH_BYTES, Tensor, header_bytes, read_header

ReadRange = Callable[[str, int, int], Awaitable[bytes]]
"""Reads from the file `path`, from an offset on, so many bytes, or fewer where it ends."""

WEIGHTS: Final = ".safetensors"
ADAPTER_CONFIG: Final = "adapter_config.json"
ADAPTER_WEIGHTS: Final = "adapter_model.safetensors"
MODEL_CONFIG: Final = "config.json"
MAX_PATH_CHARACTERS: Final = 255
MAX_TEXT_BYTES: Final = 64 << 20
"""No file but weights may be larger: vocabularies reach some tens of MiB."""

_PART: Final = re.compile(r"[A-Za-z0-9._+@=-][A-Za-z0-9._+@= -]*")
_TEXT_SUFFIXES: Final = (".json", ".jinja", ".txt", ".md", ".yaml", ".yml")
_BINARY_SUFFIXES: Final = (".model", ".tiktoken", ".png", ".jpg", ".svg")
_BARE_NAMES: Final = ("LICENSE", "LICENCE", "NOTICE", "USE_POLICY", ".gitattributes", ".gitignore")
_CHECKPOINT_SUFFIXES: Final = (WEIGHTS, ".json")
"""An optimiser's state is no less dangerous as a pickle than weights are."""
_MAGIC_BYTES: Final = 16
_DISGUISES: Final = {
    b"PK\x03\x04": "a zip archive, the usual dress of pickles",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"\x1f\x8b": "a gzip archive",
    b"\x7fELF": "a program",
    b"GGUF": "a GGUF model",
    b"#!": "a script",
    **{b"\x80" + bytes([protocol]): "a pickle" for protocol in range(2, 6)},
}
_CODE_KEYS: Final = ("auto_map", "custom_pipelines", "_target_")
_SAFE_PARENT: Final = "transformers"


def check_paths(paths: Iterable[str]) -> None:
    """Accept paths that name distinct places below a directory on every file system.

    Raises:
        ServiceError: `invalid_manifest`, a path is absolute, climbs, is odd, or names the place of another.
    """
    seen: dict[str, str] = {}
    for path in paths:
        _check_path(path)
        places = path.casefold().split("/")
        for depth in range(1, len(places) + 1):
            place, is_file = "/".join(places[:depth]), depth == len(places)
            before = seen.get(place)
            if before is not None and (is_file or not before.endswith("/")):
                raise ServiceError(
                    "invalid_manifest", f"{path} and {before} would be one file on some file systems.", param=path
                )
            seen[place] = path if is_file else path + "/"


def check_names(kind: Kind, paths: Iterable[str]) -> None:
    """Accept the set of files that a version of `kind` may hold, by their names.

    Raises:
        ServiceError: `unsafe_file`, a kind of file that is not allowed; `invalid_manifest`, one is missing.
    """
    if kind is Kind.CHECKPOINT:
        _check_checkpoint(paths)
    if kind not in (Kind.MODEL, Kind.ADAPTER):
        return
    names = set(paths)
    for path in sorted(names):
        last = path.rpartition("/")[2]
        suffix = last[last.rfind(".") :].lower() if "." in last else ""
        if suffix != WEIGHTS and suffix not in _TEXT_SUFFIXES + _BINARY_SUFFIXES and last not in _BARE_NAMES:
            raise ServiceError(
                "unsafe_file",
                f"{path} is refused: weights must be safetensors, and beside them only texts and vocabularies may"
                " lie. Convert pickles (.bin, .pt) with safetensors; remote code is never run.",
                param=path,
            )
    wanted = (ADAPTER_CONFIG, ADAPTER_WEIGHTS) if kind is Kind.ADAPTER else (MODEL_CONFIG,)
    missing = [name for name in wanted if name not in names]
    if kind is Kind.MODEL and not any(name.endswith(WEIGHTS) for name in names):
        missing.append(f"*{WEIGHTS}")
    if missing:
        raise ServiceError("invalid_manifest", f"A version of kind {kind} needs {', '.join(missing)}.", param="files")


@dataclass
class Contents:
    """What was found in the files of a version."""

    tensors: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    """Those of every safetensors file, by path."""
    templates: dict[str, str] = field(default_factory=dict)
    """Chat templates by the path that holds them, with their name where it holds several; still to be rendered."""


async def check_contents(kind: Kind, sizes_bytes: Mapping[str, int], read: ReadRange) -> Contents:
    """Accept the files of a version by what is in them; reads texts whole and of weights only the header.

    Raises:
        ServiceError: `unsafe_file`, a file holds code, is malformed, or is not what its name says.
    """
    found = Contents()
    if kind not in (Kind.MODEL, Kind.ADAPTER, Kind.CHECKPOINT):
        return found
    for path, size_bytes in sorted(sizes_bytes.items()):
        if path.lower().endswith(WEIGHTS):
            found.tensors[path] = await read_tensors(path, size_bytes, read)
            continue
        if size_bytes > MAX_TEXT_BYTES:
            raise ServiceError("unsafe_file", f"{path} is larger than 64 MiB and holds no weights.", param=path)
        if path.lower().endswith(_BINARY_SUFFIXES):
            _check_magic(path, await read(path, 0, min(size_bytes, _MAGIC_BYTES)))
        else:
            found.templates |= _templates_of(path, await read(path, 0, size_bytes))
    return found


async def read_tensors(path: str, size_bytes: int, read: ReadRange) -> dict[str, Tensor]:
    """The tensors that a safetensors file says it holds, checked.

    Raises:
        ServiceError: `unsafe_file`, the file is not sound.
    """
    head = await read(path, 0, min(size_bytes, LENGTH_BYTES))
    length = header_bytes(path, head, size_bytes)
    return read_header(path, await read(path, LENGTH_BYTES, length), size_bytes)


def _check_checkpoint(paths: Iterable[str]) -> None:
    for path in sorted(paths):
        if not path.lower().endswith(_CHECKPOINT_SUFFIXES):
            raise ServiceError(
                "unsafe_file", f"{path} is refused: a checkpoint holds safetensors and JSON only.", param=path
            )


def _check_path(path: str) -> None:
    parts = path.split("/")
    if (
        len(path) > MAX_PATH_CHARACTERS
        or any(_PART.fullmatch(part) is None or part.endswith((".", " ")) for part in parts)
        or path.startswith("~")
    ):
        raise ServiceError(
            "invalid_manifest",
            f"{path[:80]!r} is no path of a version: parts of letters, digits and `. _ - + @ =` between slashes,"
            " relative and never climbing.",
            param=path[:80],
        )


def _check_magic(path: str, head: bytes) -> None:
    for magic, what in _DISGUISES.items():
        if head.startswith(magic):
            raise ServiceError("unsafe_file", f"{path} is refused: it is {what}.", param=path)


def _templates_of(path: str, content: bytes) -> dict[str, str]:
    """The chat templates in a text that is accepted."""
    _check_magic(path, content[:_MAGIC_BYTES])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ServiceError("unsafe_file", f"{path} is refused: it is not UTF-8 text.", param=path) from error
    if "\0" in text:
        raise ServiceError("unsafe_file", f"{path} is refused: it is not text.", param=path)
    found: dict[str, str] = {}
    if path.lower().endswith(".jinja"):
        found = {path: text}
    if path.lower().endswith(".json"):
        found = _check_json(path, text)
    for template in found.values():
        check_template(path, template)
    return found


def _check_json(path: str, text: str) -> dict[str, str]:
    """The chat templates in it."""

    def refuse_code(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # Seen here, a key counts even where a later one of the same name would hide it.
        for key, value in pairs:
            if value and (key in _CODE_KEYS or (key == "trust_remote_code" and value is True)):
                raise ServiceError(
                    "unsafe_file", f"{path} is refused: `{key}` asks for code from the model's files.", param=path
                )
        return dict(pairs)

    last = path.rpartition("/")[2]
    # A vocabulary may well hold the word; only configurations mean something by it.
    hook = refuse_code if "config" in last or last == "model_index.json" else dict
    try:
        content = json.loads(text, object_pairs_hook=hook)
    except (ValueError, RecursionError) as error:
        raise ServiceError("unsafe_file", f"{path} is not JSON: {str(error)[:120]}.", param=path) from error
    if isinstance(content, dict):
        if last == ADAPTER_CONFIG:
            _check_adapter_config(path, content)
        return _named_templates(path, content.get("chat_template"))
    if hook is refuse_code:
        raise ServiceError("unsafe_file", f"{path} is not a JSON object.", param=path)
    return {}


def _named_templates(path: str, given: Any) -> dict[str, str]:
    """One template, or several with names."""
    if isinstance(given, list):
        given = {str(one.get("name")): one.get("template") for one in given if isinstance(one, dict)}
    named = {f"{path} ({name})": one for name, one in given.items()} if isinstance(given, dict) else {path: given}
    return {place: one for place, one in named.items() if isinstance(one, str)}


def _check_adapter_config(path: str, config: dict[str, Any]) -> None:
    rank = config.get("r")
    if config.get("peft_type") != "LORA" or type(rank) is not int or not 1 <= rank <= 1024:
        raise ServiceError("unsafe_file", f"{path} describes no LoRA adapter of rank 1 to 1024.", param=path)
    mapping = config.get("auto_mapping")
    parent = mapping.get("parent_library", "") if isinstance(mapping, dict) else ""
    if parent and str(parent).partition(".")[0] != _SAFE_PARENT:
        raise ServiceError("unsafe_file", f"{path} is refused: `auto_mapping` asks for foreign code.", param=path)
