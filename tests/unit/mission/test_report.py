"""Before and after, the picture, and what a customer would think of an answer."""

from xml.etree import ElementTree as ET

from cli.mission.ledger import Act, Ledger, Span, Thumb, rolling
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


def test_a_point_is_the_share_of_the_last_thumbs_once_there_are_enough() -> None:
    thumbs = [Thumb(float(second), BASE, "price", up) for second, up in enumerate((True, False, False, True, True))]
    assert rolling(thumbs, last=4, fewest=2) == [(1.0, 1 / 2), (2.0, 1 / 3), (3.0, 1 / 2), (4.0, 1 / 2)]


def lines(image: ET.Element) -> list[set[str]]:
    """The heights of each line."""
    found = [one.get("points", "").split() for one in image.iter("{http://www.w3.org/2000/svg}polyline")]
    return [{point.split(",")[1] for point in points} for points in found]


def test_the_picture_has_a_panel_for_each_rollout_and_a_line_for_each_version() -> None:
    ledger = Ledger(began_s=0.0)
    ledger.thumbs += [Thumb(second / 4, BASE, "price", up=False) for second in range(80)]
    ledger.thumbs += [Thumb(20 + second / 4, LEARNED, "colour", up=True) for second in range(80)]
    steps = [Span("shadow 50 %", 0, 10), Span("canary <5 %>", 10, 20)]
    ledger.acts.append(Act("one & only", {BASE: "before"}, spans=steps))
    ledger.acts.append(Act("two", {BASE: "before", LEARNED: "after"}, "colour", [Span("canary", 20, 40)]))
    image = ET.fromstring(draw(ledger))  # noqa: S314 - our own text
    first, second, learned, on_colour = lines(image)
    assert (len(first), len(second), len(learned)) == (1, 0, 1)
    assert first != learned
    assert learned == on_colour
    texts = {one.text for one in image.iter("{http://www.w3.org/2000/svg}text")}
    assert {"one & only", "shadow 50 %", "canary <5 %>", "before", "after, on colour alone"} <= texts


def test_a_picture_of_nothing_is_still_an_image() -> None:
    assert ET.fromstring(draw(Ledger())).tag.endswith("svg")  # noqa: S314 - our own text
    unseen = Ledger(acts=[Act("never begun", {BASE: "before"}, "colour")])
    assert len(lines(ET.fromstring(draw(unseen)))) == 2  # noqa: S314 - as above
