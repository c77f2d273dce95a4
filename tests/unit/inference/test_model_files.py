"""A model's version: the same for the same bytes, another for others."""

import hashlib
import json
from pathlib import Path

import pytest
from huggingface_hub import constants

from services.inference.engines import model_files
from services.inference.engines.model_files import ModelFilesError, locate, native_dtype, version_of


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text('{"dtype": "float32"}')
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "README.md").write_text("card")
    return tmp_path


def test_the_version_is_twelve_hex_digits_of_the_files_digests(model: Path) -> None:
    lines = [
        f"{hashlib.sha256((model / name).read_bytes()).hexdigest()}  {name}"
        for name in ("config.json", "model.safetensors")
    ]
    assert version_of(model) == hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def test_any_changed_byte_changes_the_version_but_the_card_does_not(model: Path) -> None:
    before = version_of(model)
    (model / "README.md").write_text("another card")
    assert version_of(model) == before
    (model / "model.safetensors").write_bytes(b"weightz")
    assert version_of(model) != before


def test_the_starter_model_has_the_version_that_its_manifest_names() -> None:
    directory = Path("deploy/starter/helpdesk")
    manifest = json.loads((directory / "manifest.json").read_text())
    assert version_of(directory) == manifest["sha256"][:12]


def test_files_that_differ_from_the_manifest_are_refused(model: Path) -> None:
    digest = hashlib.sha256(b"other weights").hexdigest()
    (model / "manifest.json").write_text(json.dumps({"files": {"model.safetensors": digest}}))
    with pytest.raises(ModelFilesError, match=r"changed \['model.safetensors'\]"):
        version_of(model)


def test_files_that_the_manifest_names_must_be_there(model: Path) -> None:
    (model / "manifest.json").write_text(json.dumps({"files": {"tokenizer.json": "0" * 64}}))
    with pytest.raises(ModelFilesError, match=r"missing \['tokenizer.json'\]"):
        version_of(model)


def test_a_manifest_of_something_else_is_no_manifest(model: Path) -> None:
    (model / "manifest.json").write_text('{"name": "a web app"}')
    assert len(version_of(model)) == 12


def test_large_models_are_told_by_names_sizes_and_configuration(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_files, "_HASH_UP_TO_BYTES", 1)
    before = version_of(model)
    (model / "config.json").write_text('{"dtype": "float16"}')
    changed = version_of(model)
    assert changed != before
    (model / "model.safetensors").write_bytes(b"longer weights")
    assert version_of(model) != changed


def test_a_directory_is_taken_as_it_is_and_a_missing_one_is_refused(model: Path) -> None:
    assert locate(str(model)) == model
    for missing in ("", str(model / "nope"), "./nope"):
        with pytest.raises(ModelFilesError):
            locate(missing)


def test_a_name_that_cannot_be_fetched_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelFilesError, match="neither a directory"):
        locate("nobody/nothing")


def test_the_number_format_is_read_from_the_configuration(model: Path, tmp_path: Path) -> None:
    assert native_dtype(model) == "float32"
    assert native_dtype(tmp_path / "nowhere") == ""
