"""Which files of a model are believed: sound safetensors, configurations without code, templates in a sandbox."""

import asyncio
import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from libs.contracts.registry import Kind
from libs.kit.errors import ServiceError
from libs.kit.modelfiles import Contents, check_contents
from libs.testkit.models import safetensors

CONFIG = b'{"model_type": "llama"}'
LORA = {"peft_type": "LORA", "r": 8}


def look(files: Mapping[str, bytes], kind: Kind = Kind.MODEL) -> Contents:
    async def read(path: str, offset: int, length: int) -> bytes:
        return files[path][offset : offset + length]

    return asyncio.run(check_contents(kind, {path: len(content) for path, content in files.items()}, read))


def refused(path: str, content: bytes, kind: Kind = Kind.MODEL) -> str:
    with pytest.raises(ServiceError) as caught:
        look({path: content}, kind)
    assert (caught.value.code, caught.value.param) == ("unsafe_file", path)
    return caught.value.message


def headed(header: object, data_bytes: int = 0) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return len(text).to_bytes(8, "little") + text + bytes(data_bytes)


def one(**more: object) -> dict[str, object]:
    return {"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **more}}


def test_what_the_format_s_own_library_writes_is_accepted() -> None:
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "a.weight": np.ones((3, 4), np.float16),
        "b": np.zeros((), np.int64),
        "empty": np.zeros((0, 5), np.float32),
    }
    found = look({"model.safetensors": save(arrays, {"format": "pt"})}).tensors["model.safetensors"]
    assert {name: tensor.shape for name, tensor in found.items()} == {"a.weight": (3, 4), "b": (), "empty": (0, 5)}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        b"\0" * 8,
        headed({}),
        headed({"__metadata__": {"format": "pt"}}),
        headed([]),
        headed(b"{"),
        headed(b"\xff\xfe"),
        headed(b" " + json.dumps(one()).encode(), 8),
        headed(one(), 7),
        headed(one(), 9),
        headed(one(data_offsets=[8, 0]), 8),
        headed(one(data_offsets=[4, 12]), 12),
        headed(one(data_offsets=[-4, 4]), 8),
        headed(one(data_offsets=[0, 8.0]), 8),
        headed(one(data_offsets=[0]), 8),
        headed(one(shape=[3]), 8),
        headed(one(shape=[-1, -2]), 8),
        headed(one(shape=[True, 2]), 8),
        headed(one(shape=[1 << 60, 0]), 8),
        headed(one(dtype="PICKLE"), 8),
        headed(one(extra=1), 8),
        headed({"t": 7}, 8),
        headed({**one(), "u": one()["t"]}, 8),
        headed({**one(), "__metadata__": {"x": 1}}, 8),
        headed(b'{"t": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}, "t": {}}'),
        (1 << 62).to_bytes(8, "little") + b"{}",
        headed(b"[" * 100_000),
        pickle.dumps({"weights": 1}),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_a_malformed_safetensors_file_is_refused(content: bytes) -> None:
    assert "sound safetensors" in refused("model.safetensors", content)


@given(cut=st.integers(0, 300), flip=st.integers(0, 299), value=st.integers(0, 255))
def test_a_damaged_header_is_refused_or_describes_exactly_the_bytes_that_are_there(
    cut: int, flip: int, value: int
) -> None:
    content = bytearray(safetensors({"a": (3,), "b": (2, 2)}))
    content[flip % len(content)] = value
    content = content[: len(content) - cut if cut < len(content) else 0]
    try:
        tensors = look({"model.safetensors": bytes(content)}).tensors["model.safetensors"]
    except ServiceError:
        return
    start = 8 + int.from_bytes(content[:8], "little")
    assert sum(tensor.end - tensor.start for tensor in tensors.values()) == len(content) - start


def test_only_the_header_of_weights_is_read() -> None:
    content, seen = safetensors({"a": (1_000, 1_000)}), []

    async def read(_: str, offset: int, length: int) -> bytes:
        seen.append(offset + length)
        return content[offset : offset + length]

    asyncio.run(check_contents(Kind.MODEL, {"model.safetensors": len(content)}, read))
    assert max(seen) < 200


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("config.json", b'{"auto_map": {"AutoModel": "evil.Model"}}'),
        ("config.json", b'{"auto_map": {"AutoModel": "evil.Model"}, "auto_map": {}}'),
        ("config.json", b'{"text_config": {"auto_map": {"AutoModel": "evil.Model"}}}'),
        ("sub/tokenizer_config.json", b'{"auto_map": {"AutoTokenizer": ["evil.T", null]}}'),
        ("generation_config.json", b'{"trust_remote_code": true}'),
        ("config.json", b"[]"),
        ("config.json", b"{"),
        ("config.json", b"\xff\xfe{}"),
        ("config.json", b'{"a": ' + b"[" * 100_000),
        ("tokenizer.json", pickle.dumps({})),
        ("tokenizer.model", pickle.dumps({})),
        ("notes.txt", b"\x7fELF\x02"),
        ("notes.txt", b"a\0b"),
        ("README.md", b"#!/bin/sh\n"),
        ("adapter_config.json", b'{"peft_type": "IA3", "r": 1}'),
        ("adapter_config.json", b'{"peft_type": "LORA"}'),
        ("adapter_config.json", b'{"peft_type": "LORA", "r": true}'),
        ("adapter_config.json", json.dumps({**LORA, "auto_mapping": {"parent_library": "evil"}}).encode()),
        ("adapter_config.json", json.dumps({**LORA, "auto_mapping": {"parent_library": "transformers_x.y"}}).encode()),
    ],
    ids=repr,
)
def test_what_asks_for_code_or_is_no_text_is_refused(path: str, content: bytes) -> None:
    refused(path, content)


def test_a_pickle_in_a_zip_is_refused_whatever_its_name() -> None:
    box = io.BytesIO()
    with zipfile.ZipFile(box, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps({}))
    assert "zip" in refused("tokenizer.model", box.getvalue())
    assert "zip" in refused("vocab.txt", box.getvalue())


def test_ordinary_files_are_accepted() -> None:
    template = (
        "{% for m in messages %}{% if m.role == 'x' %}{% break %}{% endif %}{{ m['content'] | trim }}{% endfor %}"
    )
    spoken = "{% generation %}{{ messages[0]['_private'] }}{% endgeneration %}"
    look(
        {
            "config.json": b'{"auto_map": {}, "hidden_size": 8}',
            "tokenizer.json": json.dumps({"model": {"vocab": {"auto_map": 1}}}).encode(),
            "tokenizer_config.json": json.dumps({"chat_template": [{"name": "a", "template": template}]}).encode(),
            "chat_template.jinja": spoken.encode(),
            "tokenizer.model": b"\n\x0e\n\x05<unk>",
            "merges.txt": b"a b\n",
            "LICENSE": b"Apache",
            "adapter_config.json": json.dumps(
                {**LORA, "auto_mapping": {"parent_library": "transformers.models.llama"}}
            ).encode(),
        }
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ messages['__class__'] }}",
        "{{ self._TemplateReference__context }}",
        "{% include '/etc/passwd' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% for x in %}",
        "{{ " + "(" * 5_000,
        "x" * ((1 << 20) + 1),
    ],
    ids=lambda template: template[:30],
)
def test_a_template_that_reaches_out_of_the_sandbox_is_refused(template: str) -> None:
    refused("chat_template.jinja", template.encode())
    refused("tokenizer_config.json", json.dumps({"chat_template": template}).encode())
    refused("tokenizer_config.json", json.dumps({"chat_template": {"default": template}}).encode())


def test_data_sets_may_hold_anything() -> None:
    assert look({"x.pkl": pickle.dumps({})}, Kind.DATASET) == Contents()
