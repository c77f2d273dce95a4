"""Which manifests may be announced: paths, sizes, digests, bases."""

import hashlib

import msgspec
import pytest

from libs.contracts.registry import MAX_MANIFEST_BYTES, Blob, Kind, Manifest, ManifestFile
from libs.contracts.versions import canonical, digest_of, file_digest
from libs.kit.errors import ServiceError
from services.registry.domain.manifests import blobs_of, check_manifest, size_of

EMPTY = hashlib.sha256().hexdigest()
A, B, C = (character * 64 for character in "abc")


def file(path: str, digest: str = A, size_bytes: int = 3, *blobs: Blob) -> ManifestFile:
    return ManifestFile(path, digest, size_bytes, blobs or (Blob(digest, size_bytes),))


def data(*files: ManifestFile, **more: object) -> Manifest:
    return Manifest(**{"name": "faq", "kind": Kind.DATASET, "files": files, **more})  # type: ignore[arg-type]


def refusal(manifest: Manifest) -> str:
    with pytest.raises(ServiceError) as caught:
        check_manifest(manifest)
    return caught.value.code


def test_a_sound_manifest_is_accepted() -> None:
    manifest = data(
        ManifestFile("empty.txt", EMPTY, 0, ()),
        file("part/one.jsonl"),
        file("two.jsonl", file_digest((Blob(A, 3), Blob(B, 2))), 5, Blob(A, 3), Blob(B, 2)),
    )
    check_manifest(manifest)
    assert blobs_of(manifest) == (Blob(A, 3), Blob(B, 2))
    assert size_of(manifest) == 8


def test_a_file_may_be_there_twice_with_its_blake3() -> None:
    manifest = data(file("a", A, 3, Blob(A, 3, B)), file("b", A, 3, Blob(A, 3, B)))
    check_manifest(manifest)
    assert blobs_of(manifest) == (Blob(A, 3, B),)


def test_a_manifest_without_blake3s_is_written_as_before_there_were_any() -> None:
    assert canonical(data(file("a"))) == (
        b'{"files":[{"blobs":[{"digest":"%(a)b","size_bytes":3}],"digest":"%(a)b","path":"a","size_bytes":3}],'
        b'"kind":"dataset","name":"faq"}' % {b"a": A.encode()}
    )
    assert digest_of(data(file("a"))) == "e8989e49dd6eb901b6e6ea83b6203643ce5869222187e947779ad051c4618ca0"
    assert digest_of(data(file("a", A, 3, Blob(A, 3, B)))) != digest_of(data(file("a")))


@pytest.mark.parametrize(
    "path",
    ["../x", "a/../x", "/x", "a//x", "a/", "", ".", "..", "a\\x", "~/x", "a/./x", "a\nb", "x.", "x ", "ü", "C:x", "a*"],
)
def test_a_path_that_climbs_or_is_odd_is_refused(path: str) -> None:
    assert refusal(data(file(path))) == "invalid_manifest"


@pytest.mark.parametrize(
    "paths", [("a", "a"), ("A", "a"), ("a", "a/b"), ("A/x", "a/X"), ("A/x", "a"), ("sub", "sub/x/y")]
)
def test_paths_that_meet_on_some_file_system_are_refused(paths: tuple[str, ...]) -> None:
    assert refusal(data(*(file(path) for path in paths))) == "invalid_manifest"


@pytest.mark.parametrize(
    "manifest",
    [
        data(),
        data(file("b"), file("a")),
        data(file("a"), name="Upper"),
        data(file("a"), name="a/b"),
        data(file("a", "x" * 64)),
        data(file("a", A.upper())),
        data(file("a", A, 3, Blob(B, 3))),
        data(file("a", A, 4, Blob(B, 3), Blob(C, 2))),
        data(file("a", A, 5, Blob(B, 3), Blob(C, 2))),
        data(file("a", A, 3, Blob(B, 3), Blob(C, 0))),
        data(file("a", A, (64 << 20) + 1)),
        data(ManifestFile("a", A, 0, ())),
        data(file("a"), file("b", A, 4)),
        data(file("a", A, 3, Blob(A, 3, "x" * 64))),
        data(file("a", A, 3, Blob(A, 3, B.upper()))),
        data(file("a", A, 3, Blob(A, 3, B[:-1]))),
        data(file("a", A, 3, Blob(A, 3, B)), file("b", A, 3, Blob(A, 3, C))),
        data(file("a", A, 3, Blob(A, 3, B)), file("b", A, 3, Blob(A, 3))),
        data(file("a"), annotations={"x": "\0"}),
        data(file("a"), annotations={"x": "y" * MAX_MANIFEST_BYTES}),
        data(file("a"), base="helpdesk@champion"),
        data(file("a"), base="helpdesk@sha256:" + "a" * 12),
        data(file("a"), base="what is this"),
        Manifest(name="x", kind=Kind.ADAPTER, files=(file("adapter_config.json"), file("adapter_model.safetensors"))),
        Manifest(name="x", kind=Kind.ADAPTER, files=(file("adapter_config.json"),), base=f"y@sha256:{A}"),
        Manifest(name="x", kind=Kind.MODEL, files=(file("config.json"),)),
        Manifest(name="x", kind=Kind.MODEL, files=(file("model.safetensors"),)),
    ],
    ids=lambda manifest: str(msgspec.json.encode(manifest)[:60]),
)
def test_what_does_not_agree_with_itself_is_refused(manifest: Manifest) -> None:
    assert refusal(manifest) == "invalid_manifest"


@pytest.mark.parametrize(
    "path",
    ["pytorch_model.bin", "model.pt", "modeling_x.py", "x.PY", "model.ckpt", "x.gguf", "x.pkl", "x.so", "Makefile"],
)
def test_files_that_could_run_are_refused_by_name(path: str) -> None:
    files = sorted((file("config.json"), file("model.safetensors"), file(path)), key=lambda one: one.path)
    assert refusal(Manifest(name="x", kind=Kind.MODEL, files=tuple(files))) == "unsafe_file"
