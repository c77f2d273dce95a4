"""Lineage where owners are away, forget, or never knew: a gap is said, and what is only away fails the call."""

from typing import Any

import msgspec
import pytest

from libs.contracts.feedback import DatasetOrigin, Interaction, Signal, SignalKind, SignalReach
from libs.contracts.lineage import AnswerLineage, AnswerRef, SignalImpact, SignalRef
from libs.contracts.registry import DeploymentList, Kind, Lineage, Manifest, Version, VersionDetails, VersionPage
from libs.contracts.rollouts import RolloutPage, TurnPage
from libs.kit.errors import ServiceError
from services.gateway.lineage.desk import LineageDesk

DIGEST = "a" * 64
REFERENCE = f"helpdesk@sha256:{DIGEST[:12]}"
DATASET = f"lessons@sha256:{'d' * 64}"
OWNER = {"interaction_show": "feedback", "dataset_origin": "feedback", "signal_reach": "feedback",
         "version_show": "registry", "version_list": "registry", "deployment_list": "registry",
         "job_show": "trainer", "turn_list": "rollout", "rollout_list": "rollout"}  # fmt: skip
VERSION = Version(
    reference=REFERENCE, name="helpdesk", digest=DIGEST, kind=Kind.ADAPTER, number=2, size_bytes=1, published_ms=1,
    published_by="ann",
)  # fmt: skip
SIGNAL = Signal(id="sig_1", tenant="t", kind=SignalKind.THUMB, value=True, time_ms=1, recorded_ms=1)


class Owners:
    """Every service at once; knows what it is given, and is away where it is told."""

    def __init__(self, **changes: Any) -> None:
        manifest = Manifest(
            name="helpdesk", kind=Kind.ADAPTER, files=(), lineage=Lineage(job="job_1", dataset=DATASET, code="c0de")
        )
        self.answers: dict[str, Any] = {
            "interaction_show": Interaction(
                request_id="r", inference_id="chatcmpl-r", tenant="t", time_ms=1, model="helpdesk",
                model_version=REFERENCE, outcome="ok",
            ),
            "version_show": VersionDetails(version=VERSION, manifest=manifest),
            "version_list": VersionPage((VERSION,)),
            "deployment_list": DeploymentList(()),
            "dataset_origin": DatasetOrigin(reference=DATASET),
            "signal_reach": SignalReach(signal=SIGNAL, interactions=1, datasets=(DATASET,)),
            "job_show": ServiceError("job_not_found", "No such job."),
            "turn_list": TurnPage(()),
            "rollout_list": RolloutPage(()),
        } | changes  # fmt: skip

    async def call(self, operation: str, _: msgspec.Struct) -> Any:
        """What it was given."""
        answer = self.answers[operation]
        if isinstance(answer, ServiceError):
            raise answer
        return answer


def _desk(owners: Owners) -> LineageDesk:
    return LineageDesk(dict.fromkeys(("feedback", "registry", "trainer", "rollout"), owners))


async def _why(owners: Owners) -> AnswerLineage:
    found: AnswerLineage = await _desk(owners).call("answer_why", AnswerRef("chatcmpl-r"))
    return found


async def test_what_an_owner_does_not_know_any_more_is_said_as_a_gap() -> None:
    found = await _why(Owners())
    assert (found.version, found.job, found.dataset_digest) == (VERSION, None, "d" * 64)
    assert [gap for gap in found.gaps if "job_1" in gap]
    assert [gap for gap in found.gaps if DATASET in gap]
    assert "c0de" in found.summary


async def test_a_request_that_no_version_answered_says_so() -> None:
    nobody = Interaction(
        request_id="r", inference_id="r", tenant="t", time_ms=1, model="m", model_version="", outcome="error"
    )
    found = await _why(Owners(interaction_show=nobody))
    assert found.summary.startswith("No version answered")
    assert found.gaps == ()


async def test_a_version_that_was_made_by_hand_was_shaped_by_no_judgement() -> None:
    by_hand = Manifest(name="helpdesk", kind=Kind.ADAPTER, files=(), base=f"base@sha256:{DIGEST}")
    found = await _why(Owners(version_show=VersionDetails(version=VERSION, manifest=by_hand)))
    assert "No judgement shaped it." in found.summary
    assert f"base@sha256:{DIGEST}" in found.summary


@pytest.mark.parametrize(
    "operation", ["interaction_show", "version_show", "job_show", "dataset_origin", "turn_list", "rollout_list"]
)
async def test_an_owner_that_is_away_fails_the_call_and_is_no_gap(operation: str) -> None:
    code = f"{OWNER[operation]}_unavailable"
    with pytest.raises(ServiceError) as caught:
        await _why(Owners(**{operation: ServiceError(code, "It is away.")}))
    assert caught.value.code == code


async def test_the_impact_of_a_judgement_names_versions_that_serve_and_those_that_do_not() -> None:
    found: SignalImpact = await _desk(Owners()).call("signal_impact", SignalRef("sig_1"))
    assert [(one.version.reference, one.dataset, one.job, one.serves) for one in found.versions] == [
        (REFERENCE, DATASET, "job_1", ())
    ]
    assert "none of them answers today" in found.summary
    none: SignalImpact = await _desk(Owners(version_list=VersionPage(()))).call("signal_impact", SignalRef("sig_1"))
    assert (none.versions, none.datasets) == ((), (DATASET,))
    assert "no version was made" in none.summary
