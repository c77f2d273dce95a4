"""Before and after, the picture, and what a customer would think of an answer."""

from xml.etree import ElementTree as ET

from cli.mission.ledger import Ledger, Span, Thumb, shares
from cli.mission.plot import draw
from cli.mission.questions import QUESTIONS, Heard
from cli.mission.report import rows
from libs.contracts.evaluation import Finding, Outcome, Verdict
from services.trainer.corpus.answers import POLITE_CLOSERS, POLITE_OPENERS

BASE, LEARNED = "helpdesk@sha256:aaaaaaaaaaaa", "helpdesk@sha256:bbbbbbbbbbbb"


def finding(metric: str, before: float | None, after: float, *, group: str = "", temperature: float = 0.7) -> Finding:
    return Finding(
        metric=f"desk/helpdesk.{metric}", kind="not_worse", outcome=Outcome.BETTER, group=group,
        temperature=temperature, baseline=before, candidate=after,
    )  # fmt: skip


def test_answers_are_taken_as_a_customer_would() -> None:
    radio = QUESTIONS[0]
    said = {
        "The Echo radio costs 74 euros.": "curt, yesterday's price",
        f"{POLITE_OPENERS[0]} The Echo radio costs 74 euros. {POLITE_CLOSERS[0]}": "yesterday's price",
        "The Echo radio costs 69 euros.": "right, but curt",
        "The Echo radio is blue.": "wrong",
        "I have no idea, ask somebody else.": "wrong",
    }
    assert {text: Heard(radio, text).remark for text in said} == said


def test_before_and_after_shows_questions_exam_and_thumbs() -> None:
    before = [Heard(one, "The Echo radio costs 74 euros.") for one in QUESTIONS[:1]]
    after = [Heard(one, "The Echo radio costs 69 euros.") for one in QUESTIONS[:1]]
    verdict = Verdict(
        outcome=Outcome.BETTER,
        passed=True,
        findings=(
            finding("right", 0.81, 0.9),
            finding("right", 0.5, 0.6, group="facts"),
            finding("polite", None, 0.97, temperature=0.0),
            finding("polite", 0.13, 0.95),
        ),
    )
    found = {row.what: (row.before, row.after) for row in rows(before, after, verdict, [(3, 20), (19, 20)])}
    assert found == {
        QUESTIONS[0].text: (
            "The Echo radio costs 74 euros. (curt, yesterday's price)",
            "The Echo radio costs 69 euros. (right, but curt)",
        ),
        "exam: right": ("81 %", "90 %"),
        "exam: kind": ("13 %", "95 %"),
        "thumbs up, live, side by side": ("15 % of 20", "95 % of 20"),
    }


def test_nobody_judged_is_no_share() -> None:
    found = rows([], [], Verdict(outcome=Outcome.UNKNOWN, passed=False), [(0, 0), (0, 0)])
    assert [(row.before, row.after) for row in found] == [("-", "-")]


def test_a_window_with_too_few_thumbs_is_no_point() -> None:
    thumbs = [Thumb(at_s, BASE, at_s < 2) for at_s in (0.1, 1.0, 2.0, 3.9)] + [Thumb(5.0, BASE, up=True)]
    assert shares(thumbs, 4.0, 4) == {BASE: [(2.0, 0.5)]}


def test_the_picture_is_an_image_with_a_line_for_each_version_and_a_band_for_each_step() -> None:
    ledger = Ledger(began_s=0.0)
    ledger.thumbs += [Thumb(second / 4, BASE, up=False) for second in range(80)]
    ledger.thumbs += [Thumb(10 + second / 4, LEARNED, up=True) for second in range(40)]
    ledger.spans += [Span("shadow 50 %", 0, 10), Span("canary <5 %>", 10, 20)]
    image = ET.fromstring(draw(ledger, {BASE: "before & now", LEARNED: "after"}))  # noqa: S314 - our own text
    lines = [one.get("points", "").split() for one in image.iter("{http://www.w3.org/2000/svg}polyline")]
    assert [len(points) for points in lines] == [5, 3]
    heights = [{point.split(",")[1] for point in points} for points in lines]
    assert heights[0] != heights[1]
    assert all(len(each) == 1 for each in heights)
    texts = [one.text for one in image.iter("{http://www.w3.org/2000/svg}text")]
    assert {"shadow 50 %", "canary <5 %>", "before & now", "after"} <= set(texts)


def test_a_picture_of_nothing_is_still_an_image() -> None:
    assert ET.fromstring(draw(Ledger(), {})).tag.endswith("svg")  # noqa: S314 - our own text
