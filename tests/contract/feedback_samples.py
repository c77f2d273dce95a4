"""One sample of every message of feedback, each field with a value of its own."""

from typing import Final

import msgspec

from libs.contracts import datasets as d
from libs.contracts import feedback as f
from libs.contracts.inference import RequestCompleted

REQUEST: Final = "0123456789abcdef01234567"
SIGNAL_ID: Final = "sig_0123456789abcdef01234567"
VERSION: Final = "helpdesk@sha256:0123456789ab"
COMPLETED: Final = RequestCompleted(
    id="e1",
    time_ms=9,
    request_id=REQUEST,
    client_request_id="c1",
    tenant="t1",
    key_id="k1",
    route="/v1/chat/completions",
    model="helpdesk",
    outcome="ok",
    status=200,
    episode_id="ep1",
    user="u1",
)
SIGNAL: Final = f.Signal(
    id=SIGNAL_ID,
    tenant="t1",
    kind=f.SignalKind.SCORE,
    value=0.5,
    time_ms=1,
    recorded_ms=2,
    request_id=REQUEST,
    episode_id="ep1",
    model_version=VERSION,
    rater="ann",
    source=f.Source.EDITED,
    weight=0.3,
    tags=("a", "b"),
    supersedes="sig_1",
    superseded_by="sig_2",
)
INTERACTION: Final = f.Interaction(
    request_id=REQUEST,
    inference_id=f"chatcmpl-{REQUEST}",
    tenant="t1",
    time_ms=9,
    model="helpdesk",
    model_version=VERSION,
    outcome="ok",
    route="/v1/chat/completions",
    episode_id="ep1",
    user="u1",
    prompt_tokens=3,
    completion_tokens=4,
    first_byte_ms=5,
    total_ms=6,
    messages=msgspec.Raw(b"[]"),
    answer=msgspec.Raw(b"{}"),
    erased=True,
    signals=(SIGNAL,),
)
QUARANTINE: Final = d.Quarantine(
    enabled=False,
    max_rater_share=0.1,
    min_raters_for_share=2,
    max_rater_rows=3,
    max_burst_per_min=4,
    similarity=0.5,
    trusted_raters=("root",),
)
SELECTION: Final = d.Selection(
    name="faq",
    shape=d.Shape.KTO,
    tenant="t1",
    since_ms=1,
    until_ms=2,
    model_versions=(VERSION,),
    tags=("a",),
    raters=("ann",),
    min_score=0.7,
    include_implicit=True,
    min_answer_chars=2,
    max_answer_chars=3,
    near_duplicates=0.5,
    redact=False,
    splits={"train": 1.0},
    seed=4,
    quarantine=QUARANTINE,
)
JOB: Final = d.DatasetJob(
    id="j1",
    state="succeeded",
    selection=SELECTION,
    author="root",
    created_ms=1,
    rows_read=2,
    rows_total=3,
    counts={"selected": 2},
    reference="faq@sha256:0123456789ab",
    digest="a" * 64,
    error="e",
)
ROW: Final = f.StatisticsRow(
    group={"tag": "a"},
    interactions=1,
    thumbs_up=2,
    thumbs_down=3,
    scores=4,
    score_mean=0.5,
    comments=5,
    demonstrations=6,
    implicit=7,
    approval=0.4,
    approval_low=0.1,
    approval_high=0.8,
)
LETTER: Final = f.DeadLetter(id="CMD_FEEDBACK-1", time_ms=1, code="conflict", reason="r", payload="{}")

FEEDBACK_SAMPLES: Final[dict[str, msgspec.Struct]] = {
    "Captured": f.Captured(
        id="e1", completed=COMPLETED, request=msgspec.Raw(b"{}"), response="data: {}", truncated=True
    ),
    "RecordSignal": f.RecordSignal(
        id=SIGNAL_ID,
        tenant="t1",
        kind=f.SignalKind.COMMENT,
        value="Fine.",
        time_ms=1,
        inference_id=f"chatcmpl-{REQUEST}",
        episode_id="ep1",
        rater="ann",
        source=f.Source.IMPORTED,
        tags=("a",),
        key_id="k1",
    ),
    "Signal": SIGNAL,
    "SignalRecorded": f.SignalRecorded(id="e1", time_ms=2, signal=SIGNAL),
    "SignalRefused": f.SignalRefused(id="e1", time_ms=2, signal_id=SIGNAL_ID, tenant="t1", code="conflict", reason="r"),
    "Interaction": INTERACTION,
    "ListInteractions": f.ListInteractions(
        tenant="t1", model_version=VERSION, since_ms=1, until_ms=2, judged=True, before="b", limit=3
    ),
    "InteractionPage": f.InteractionPage((INTERACTION,), "9-x"),
    "ShowInteraction": f.ShowInteraction(REQUEST, "t1"),
    "StatisticsQuery": f.StatisticsQuery(by=("tag", "day"), tenant="t1", model_version=VERSION, since_ms=1, until_ms=2),
    "Statistics": f.Statistics((ROW,)),
    "StatisticsUpdated": f.StatisticsUpdated(id="e1", time_ms=2, row=ROW),
    "ShowOrigin": f.ShowOrigin("faq@sha256:0123456789ab", 7),
    "DatasetOrigin": f.DatasetOrigin(
        reference="faq@sha256:0123456789ab", job=JOB, interactions=3, signals=4, shown=(SIGNAL,)
    ),
    "ShowReach": f.ShowReach(SIGNAL_ID),
    "SignalReach": f.SignalReach(signal=SIGNAL, interactions=2, datasets=("faq@sha256:0123456789ab",)),
    "Erase": f.Erase(tenant="t1", request_id=REQUEST, user="u1", author="root"),
    "Erasure": f.Erasure("era_1", 1, 2, ("faq@sha256:0123456789ab",)),
    "ListDeadLetters": f.ListDeadLetters(3, "b"),
    "DeadLetterPage": f.DeadLetterPage((LETTER,), "1-x"),
    "BuildDataset": d.BuildDataset(selection=SELECTION, author="root", dry_run=True, id="job_0123456789abcdef01234567"),
    "JobId": d.JobId("j1"),
    "ListJobs": d.ListJobs(5),
    "JobList": d.JobList((JOB,)),
    "DatasetBuilt": d.DatasetBuilt(id="e1", time_ms=2, job=JOB),
}
