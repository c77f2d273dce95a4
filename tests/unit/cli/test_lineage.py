"""How lineage reads, and how a version that was made again is compared."""

from typing import Any

import httpx2
import msgspec
import pytest

from cli.lineage import tables
from cli.lineage.rebuilding import FileCompared, Rebuilding, Rebuilt, compared
from libs.contracts.datasets import DatasetJob, Selection
from libs.contracts.feedback import DatasetOrigin
from libs.contracts.lineage import AnswerLineage, ShapedVersion, SignalImpact
from libs.contracts.registry import Blob, Kind, Lineage, Manifest, ManifestFile, VersionDetails
from tests.contract.feedback_samples import JOB as BUILD
from tests.contract.feedback_samples import SIGNAL
from tests.contract.training_samples import JOB
from tests.unit.gateway.test_lineage import VERSION, Owners


def _answer(**more: object) -> AnswerLineage:
    interaction = Owners().answers["interaction_show"]
    return AnswerLineage(**{"interaction": interaction, "summary": "[bold]It was so.", **more})


def test_an_answer_names_everything_that_shaped_it(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = Manifest(name="helpdesk", kind=Kind.ADAPTER, files=(), lineage=Lineage(job="job_1", code="c0de"))
    origin = DatasetOrigin(reference="faq@sha256:0", job=BUILD, interactions=3, signals=4, shown=(SIGNAL,))
    tables.why(_answer(version=VERSION, manifest=manifest, job=JOB, dataset=origin, gaps=("Something [is] lost.",)))
    shown = " ".join(capsys.readouterr().out.split())
    for text in ("[bold]It was so.", VERSION.reference, "job_1", "c0de", "4 of 3 interactions", SIGNAL.id, "[is] lost"):
        assert text in shown


def test_a_judgement_names_the_versions_and_which_answers(capsys: pytest.CaptureFixture[str]) -> None:
    serving = ShapedVersion(version=VERSION, dataset="faq@sha256:0", job="job_1", serves=("helpdesk",))
    idle = ShapedVersion(version=VERSION, dataset="faq@sha256:0", job="job_2")
    tables.impact(SignalImpact(signal=SIGNAL, summary="It shaped two.", versions=(serving, idle)))
    shown = capsys.readouterr().out
    assert "It shaped two." in shown
    assert "not served" in shown
    assert "helpdesk" in shown


class _Giving:
    """A service that has one answer to everything."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def call(self, *_: object) -> Any:
        return self._answer


@pytest.mark.parametrize(("blake3", "is_explained"), [("", True), ("b" * 64, False)])
async def test_a_data_set_from_before_blake3_is_not_silently_another_one(
    blake3: str,
    *,
    is_explained: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = ManifestFile("manifest.json", "a" * 64, 1, (Blob("a" * 64, 1, blake3),))
    before = VersionDetails(version=VERSION, manifest=Manifest(name="faq", kind=Kind.DATASET, files=(file,)))
    built = msgspec.structs.replace(BUILD, state="succeeded", digest="c" * 64)

    async def selection(*_: object) -> Selection:
        return BUILD.selection

    async def ended(_: DatasetJob) -> DatasetJob:
        return built

    async with httpx2.AsyncClient() as http:
        rebuilding = Rebuilding(
            registry=_Giving(before), feedback=_Giving(built), trainer=_Giving(None), http=http, author="ann",
            follow_build=ended, follow_job=lambda _: pytest.fail("no job is ordered"),
        )  # fmt: skip
        monkeypatch.setattr(rebuilding, "_selection", selection)
        same, digest, error = await rebuilding._dataset("faq@1")
    assert (same, digest, "before manifests stated BLAKE3" in error) == (False, "c" * 64, is_explained)


def _manifest(**digests: str) -> Manifest:
    files = tuple(ManifestFile(path, digest, 1, ()) for path, digest in sorted(digests.items()))
    return Manifest(name="helpdesk", kind=Kind.ADAPTER, files=files)


def test_files_are_compared_by_path_whether_they_are_in_both_or_not() -> None:
    before, after = _manifest(a="1", b="2", gone="3"), _manifest(a="1", b="4", more="5")
    assert [(one.path, one.same) for one in compared(before, after)] == [
        ("a", True),
        ("b", False),
        ("gone", False),
        ("more", False),
    ]


@pytest.mark.parametrize(
    ("dataset_same", "file_same", "same"),
    [(True, True, True), (None, True, True), (False, True, False), (True, False, False)],
)
def test_only_what_is_the_same_in_data_and_files_is_the_same(
    dataset_same: bool | None,
    file_same: bool,
    same: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = Rebuilt(
        version=VERSION.reference,
        dataset="faq@sha256:0",
        dataset_same=dataset_same,
        job="job_2",
        code="c0de",
        code_rebuilt="other",
        files=(FileCompared("weights", "1" * 64, ("1" if file_same else "2") * 64, file_same),),
    )
    assert made.same is same
    tables.rebuilt(made)
    shown = capsys.readouterr().out
    assert "other code: c0de" in shown
    assert ("→" in shown) is not file_same
