"""What has changed in a directory since it was a version."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from libs.kit.fetch.verify import differences
from libs.testkit.blob_store import BlobStore
from tests.unit.fetch.versions import cut, data, version


@pytest.fixture
def store() -> Iterator[BlobStore]:
    with BlobStore() as store:
        yield store


@pytest.mark.parametrize("states_blake3", [True, False])
def test_a_change_in_the_last_of_several_blobs_is_a_difference(
    store: BlobStore, tmp_path: Path, *, states_blake3: bool
) -> None:
    content = data(2_500)
    manifest = version(store, cut(store, "a", content, 1_000, states_blake3=states_blake3)).manifest
    (tmp_path / "a").write_bytes(content)
    assert differences(tmp_path, manifest) == []
    (tmp_path / "a").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert differences(tmp_path, manifest) == ["a"]


def test_differences_name_what_changed(tmp_path: Path) -> None:
    with BlobStore() as store:
        for name in ("same", "changed", "missing"):
            (tmp_path / name).write_text(name)
        manifest = store.publish(tmp_path, "x").manifest
    assert differences(tmp_path, manifest) == []
    (tmp_path / "changed").write_text("chanGed")
    (tmp_path / "missing").unlink()
    (tmp_path / "new").write_text("")
    assert differences(tmp_path, manifest) == ["changed", "missing", "new"]
