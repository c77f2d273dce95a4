"""The parts of `./llmos models` that need no registry: names, numbers, and where it would talk to."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from cli import address, served, settings, ui
from cli.models import look, show, transfer
from deploy.local.errors import StackError
from libs.contracts.registry import (
    DeployedVersion,
    Deployment,
    Kind,
    Lineage,
    ListVersions,
    Manifest,
    Upload,
    Verification,
    Version,
    VersionDetails,
    VersionPage,
)
from libs.kit.errors import ServiceError
from libs.testkit.models import write_model

REFERENCE = "shop@sha256:0123456789ab"
LEARNED = "shop@sha256:ffffffffffff"


def _deployment(names: dict[str, str]) -> Deployment:
    return Deployment(pool="default", generation=1, revision=1, base=DeployedVersion(REFERENCE, "01" * 32), names=names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"shop": REFERENCE, "shop@champion": REFERENCE}, ("shop", REFERENCE)),
        ({"shop": LEARNED, "shop@old": REFERENCE}, ("shop", LEARNED)),
        ({"shop@older": REFERENCE, "shop@old": REFERENCE, "shop@x": LEARNED}, ("shop@old", REFERENCE)),
        ({"tone": LEARNED}, (REFERENCE, REFERENCE)),
        ({}, (REFERENCE, REFERENCE)),
    ],
)
def test_the_bare_name_is_asked_for_whoever_is_its_champion(names: dict[str, str], expected: tuple[str, str]) -> None:
    assert served.asked_as(_deployment(names)) == expected


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 KB"), (1_234_567, "1.2 MB"), (5 * 10**15, "5000.0 TB")],
)
def test_sizes_are_for_people(count: int, text: str) -> None:
    assert show.size(count) == text


def test_the_kind_is_seen_from_the_files(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="must be said"):
        transfer._kind_of(tmp_path)
    (tmp_path / "config.json").touch()
    assert transfer._kind_of(tmp_path) is Kind.MODEL
    (tmp_path / "adapter_config.json").touch()
    assert transfer._kind_of(tmp_path) is Kind.ADAPTER
    with pytest.raises(ServiceError, match="no directory"):
        transfer._kind_of(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["f1", "=1", "f1=", "f1=good"])
def test_a_metric_is_a_name_and_a_number(text: str) -> None:
    assert transfer._metric("f1=0.5") == ("f1", 0.5)
    with pytest.raises(typer.BadParameter, match="NAME=NUMBER"):
        transfer._metric(text)


@pytest.mark.parametrize("text", ["note", "=text", ""])
def test_a_note_is_a_name_and_a_text(text: str) -> None:
    assert transfer._note("run=a=b") == ("run", "a=b")
    assert transfer._note("empty=") == ("empty", "")
    with pytest.raises(typer.BadParameter, match="NAME=TEXT"):
        transfer._note(text)


class _Taking:
    """A registry that has every version already, and keeps the manifest it was shown."""

    def __init__(self) -> None:
        self.manifest: Manifest | None = None

    async def call(self, operation: str, request: Any) -> Any:
        if operation == "version_show":
            name, _, _ = request.reference.partition("@")
            return VersionDetails(version=_version(name, 2), manifest=Manifest(name=name, kind=Kind.MODEL, files=()))
        self.manifest = request.manifest
        published = _version(request.manifest.name, 1)
        return Upload(upload_id="u", digest="", expires_ms=0, missing=(), missing_total=0, published=published)


def _version(name: str, number: int) -> Version:
    digest = f"{number:064}"
    return Version(
        reference=f"{name}@sha256:{digest[:12]}", name=name, digest=digest, kind=Kind.MODEL, number=number,
        size_bytes=1, published_ms=0, published_by="ann",
    )  # fmt: skip


def test_where_a_version_comes_from_is_said_with_whole_references(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taking = _Taking()
    monkeypatch.setattr(transfer, "with_registry", lambda work: asyncio.run(work(taking)))
    transfer.push(
        write_model(tmp_path / "model"), "tone", kind=None, base="shop@champion", job="j7", dataset="faq@3",
        code="0123abc", licence="MIT", metric=["f1=0.5"], note=["run=night"], alias="", as_json=True,
    )  # fmt: skip
    made = taking.manifest
    assert made is not None
    whole = f"@sha256:{2:064}"
    assert made.lineage == Lineage(job="j7", dataset="faq" + whole, code="0123abc")
    assert (made.base, made.licence, made.metrics, made.annotations) == (
        "shop" + whole, "MIT", {"f1": 0.5}, {"run": "night"},
    )  # fmt: skip


def test_another_installation_is_named_by_address_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "environment", lambda: {"LLMOS_BASE_URL": "http://x/v1", "LLMOS_ADMIN_KEY": "k"})
    assert address.admin() == ("http://x/v1", "k")
    monkeypatch.setattr(settings, "environment", lambda: {"LLMOS_BASE_URL": "http://x/v1"})
    with pytest.raises(StackError, match="LLMOS_ADMIN_KEY"):
        address.admin()


@pytest.mark.parametrize(
    ("bad", "misstated", "status", "told"),
    [
        ((), (), 0, ["3 blobs, 9 B: all as published"]),
        (("aa",), (), 1, ["1 of 3 blobs are missing or wrong", "aa", "Push the version again"]),
        ((), ("bb", "cc"), 1, ["Of 2 of 3 blobs the manifest states another BLAKE3", "bb", "cc", "another one"]),
        (("aa",), ("bb",), 1, ["1 of 3 blobs are missing or wrong", "Of 1 of 3 blobs"]),
    ],
)
def test_a_check_tells_what_is_wrong_and_what_is_misstated(
    bad: tuple[str, ...],
    misstated: tuple[str, ...],
    status: int,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = Verification("d" * 64, 3, 9, bad, misstated)
    monkeypatch.setattr(look, "with_registry", lambda _: found)
    with pytest.raises(typer.Exit) as ended:
        look.verify("shop")
    assert ended.value.exit_code == status
    shown = capsys.readouterr()
    assert [text for text in told if text not in shown.out + shown.err] == []
    assert ("all as published" in shown.out) is (status == 0)


class _Paged:
    """A registry of seven versions that gives at most two at a time."""

    def __init__(self) -> None:
        self.asked: list[ListVersions] = []

    async def call(self, _: str, request: ListVersions) -> VersionPage:
        self.asked.append(request)
        start = int(request.before or 0)
        end = min(7, start + min(2, request.limit))
        versions = tuple(
            Version(
                reference=f"m@sha256:{number:012}", name="m", digest=f"{number:064}", kind=Kind.MODEL, number=number,
                size_bytes=1, published_ms=0, published_by="ann",
            )
            for number in range(start, end)
        )  # fmt: skip
        return VersionPage(versions, str(end) if end < 7 else "")


@pytest.mark.parametrize(("limit", "numbers", "more"), [(100, 7, False), (7, 7, False), (5, 5, True), (1, 1, True)])
def test_lists_are_read_page_by_page_up_to_the_limit(
    limit: int, numbers: int, more: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paged = _Paged()
    monkeypatch.setattr(look, "_PAGE", 2)
    monkeypatch.setattr(look, "with_registry", lambda work: asyncio.run(work(paged)))
    said: list[str] = []
    monkeypatch.setattr(ui, "say", said.append)
    look.list_versions("m", limit=limit, as_json=True)
    found = msgspec.json.decode(capsys.readouterr().out, type=list[Version])

    assert [each.number for each in found] == list(range(numbers))
    assert all(request.name == "m" for request in paged.asked)
    look.list_versions("m", limit=limit)
    assert bool(said) == more
