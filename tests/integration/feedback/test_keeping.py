"""What is kept of interactions, for how long, and how it is removed."""

from typing import Any

import msgspec
import pytest

from libs.contracts import subjects
from libs.contracts.feedback import Erase, ListInteractions, ShowInteraction, SignalKind, Source, StatisticsQuery
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.testkit.feedback import TENANT, FeedbackDesk, FeedbackGround, Rows, captured, completed, new_signal

DAY_MS = 86_400_000
QUESTION = "Write to ann@example.org, please."


@pytest.mark.parametrize(("policy", "interactions", "contents"), [("off", 0, 0), ("metadata", 1, 0), ("full", 1, 1)])
async def test_the_policy_says_what_is_kept(
    ground: FeedbackGround, rows: Rows, policy: str, interactions: int, contents: int
) -> None:
    async with ground.feedback(content=policy), ground.desk() as desk:
        done = completed()
        await desk.say([captured(done), done])
        await desk.say_raw(subjects.CAPTURED, b"{")
        await rows.until("dead_letters", 1)
        await rows.until("interactions", interactions)
        await rows.until("contents", contents)


async def test_redacted_text_holds_no_address_and_stays_readable(ground: FeedbackGround, rows: Rows) -> None:
    async with ground.feedback(content="redacted"), ground.desk() as desk:
        done = completed()
        await desk.say([captured(done, question=QUESTION, answer="I wrote to ann@example.org.")])
        await rows.until("contents", 1)
        shown = await desk.call("interaction_show", ShowInteraction(done.request_id))
    text = (bytes(shown.messages) + bytes(shown.answer)).decode()
    assert "example.org" not in text
    assert "Write to <email-1>, please." in text
    assert "I wrote to <email-1>." in text
    assert msgspec.json.decode(shown.messages)[0]["role"] == "user"


async def test_either_event_may_come_first_and_both_may_come_again(desk: FeedbackDesk, rows: Rows) -> None:
    one, two = completed(), completed()
    await desk.say([captured(one), two])
    await desk.say([one, captured(two)])
    await desk.say_again([one, captured(one), two, captured(two)])
    await rows.until("contents", 2)
    await rows.until("interactions", 2)


async def test_a_streamed_and_cut_answer_is_kept_as_far_as_it_goes(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    chunk = msgspec.json.encode({"choices": [{"delta": {"content": "Good"}}]}).decode()
    await desk.say([captured(done, response=f"data: {chunk}\n\ndata: {chunk[:20]}", truncated=True)])
    await rows.until("contents", 1, "truncated")
    shown = await desk.call("interaction_show", ShowInteraction(done.request_id))
    assert msgspec.json.decode(shown.answer) == {"role": "assistant", "content": "Good"}


async def test_texts_go_when_they_are_old(ground: FeedbackGround, rows: Rows) -> None:
    old = completed(time_ms=clock.unix_ms() - 2 * DAY_MS)
    async with ground.feedback(content_keep_days=1, expire_s=0.1), ground.desk() as desk:
        await desk.say([captured(old), captured(completed())])
        await rows.until("interactions", 2)
        await rows.until("contents", 1, "true")
        assert await rows.count("contents", f"request_id = '{old.request_id}'") == 0


async def test_pages_go_through_everything_once_newest_first(desk: FeedbackDesk, rows: Rows) -> None:
    said = [completed(time_ms=1_000 + i // 2, model_version=f"v{i % 2}") for i in range(25)]
    await desk.say([*said, completed(tenant="other")])
    await desk.say([new_signal(said[3].request_id)])
    await rows.until("signals", 1)
    found: list[Any] = []
    before = ""
    while True:
        page = await desk.call("interaction_list", ListInteractions(tenant=TENANT, limit=10, before=before))
        found += page.interactions
        if not (before := page.next):
            break
    assert [one.request_id for one in found] == [
        one.request_id for one in sorted(said, key=lambda one: (one.time_ms, one.request_id), reverse=True)
    ]
    filtered = await desk.call(
        "interaction_list", ListInteractions(tenant=TENANT, model_version="v1", since_ms=1_001, until_ms=1_005)
    )
    assert {(one.model_version, 1_001 <= one.time_ms < 1_005) for one in filtered.interactions} == {("v1", True)}
    judged = await desk.call("interaction_list", ListInteractions(tenant=TENANT, judged=True))
    assert [one.request_id for one in judged.interactions] == [said[3].request_id]


async def test_a_page_fits_into_a_message_whatever_it_holds(desk: FeedbackDesk, rows: Rows) -> None:
    await desk.say([captured(completed(), question="x" * 400_000) for _ in range(5)])
    await rows.until("contents", 5)
    page = await desk.call("interaction_list", ListInteractions())
    assert 0 < len(page.interactions) < 5
    rest = await desk.call("interaction_list", ListInteractions(before=page.next))
    assert rest.interactions


async def test_what_is_larger_than_a_message_is_shown_in_part(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    comments = [
        new_signal(done.request_id, kind=SignalKind.COMMENT, value="y" * 60_000, rater=f"r{n}", time_ms=1_000 + n)
        for n in range(20)
    ]
    await desk.say([captured(done, question="x" * 500_000), done, *comments])
    await rows.until("contents", 1)
    await rows.until("signals", 20)
    shown = await desk.call("interaction_show", ShowInteraction(done.request_id))
    assert shown.partial
    assert bytes(shown.messages) != b"null"
    assert 0 < len(shown.signals) < 20
    assert [one.rater for one in shown.signals] == [f"r{n}" for n in range(20 - len(shown.signals), 20)], "the newest"
    (listed,) = (await desk.call("interaction_list", ListInteractions())).interactions
    assert (listed.partial, len(listed.signals)) == (True, len(shown.signals))

    await desk.say([new_signal(done.request_id, kind=SignalKind.COMMENT, value="z" * 900_000, rater="loud")])
    await rows.until("signals", 21)
    again = await desk.call("interaction_show", ShowInteraction(done.request_id))
    assert [one.rater for one in again.signals] == [one.rater for one in shown.signals], "one does not hide the others"

    # Both directions at their limits: more than a message even without any signal.
    long = completed()
    await desk.say([long, captured(long, question="x" * 700_000, answer="y" * 250_000)])
    await rows.until("contents", 2)
    bare = await desk.call("interaction_show", ShowInteraction(long.request_id))
    assert (bare.partial, bytes(bare.messages)) == (True, b"null")


@pytest.mark.parametrize(
    ("operation", "request_"),
    [
        ("interaction_show", ShowInteraction("0" * 24)),
        ("interaction_show", ShowInteraction("nonsense")),
        ("interaction_list", ListInteractions(limit=0)),
        ("interaction_list", ListInteractions(before="x'--")),
        ("statistics", StatisticsQuery(by=("tenant", "tenant"))),
        ("erase", Erase(tenant=TENANT, request_id="0" * 24)),
        ("erase", Erase(tenant=TENANT)),
        ("erase", Erase(tenant="", user="u")),
        ("erase", Erase(tenant=TENANT, user="a\0b")),
    ],
)
async def test_bad_questions_are_typed_errors(desk: FeedbackDesk, operation: str, request_: Any) -> None:
    with pytest.raises(ServiceError) as caught:
        await desk.call(operation, request_)
    assert caught.value.spec.kind == "invalid_request_error"


async def test_another_tenant_sees_nothing(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    with pytest.raises(ServiceError) as caught:
        await desk.call("interaction_show", ShowInteraction(done.request_id, "other"))
    assert caught.value.code == "interaction_not_found"
    with pytest.raises(ServiceError):
        await desk.call("erase", Erase(tenant="other", request_id=done.request_id))
    assert (await desk.call("interaction_list", ListInteractions(tenant="other"))).interactions == ()


async def test_statistics(desk: FeedbackDesk, rows: Rows) -> None:
    first, second = completed(model_version="v1", time_ms=1), completed(model_version="v2", time_ms=DAY_MS)
    await desk.say([first, second])
    await rows.until("interactions", 2)
    for rater, value, time_ms in (("ann", True, 1), ("ann", False, 2), ("bob", True, 3), ("cid", True, 4)):
        await desk.call("signal_record", new_signal(first.request_id, rater=rater, value=value, time_ms=time_ms))
    for more in (
        {"kind": SignalKind.SCORE, "value": 0.5, "tags": ("a", "b")},
        {"kind": SignalKind.SCORE, "value": 1.0, "rater": "bob", "tags": ("a",)},
        {"kind": SignalKind.COMMENT, "value": "Fine."},
        {"value": False, "source": Source.REGENERATED},
    ):
        await desk.call("signal_record", new_signal(second.request_id, time_ms=DAY_MS, **more))
    one, two = (await desk.call("statistics", StatisticsQuery())).rows
    assert (one.group, one.interactions, one.thumbs_up, one.thumbs_down) == ({"model_version": "v1"}, 1, 2, 1)
    assert one.approval == pytest.approx(2 / 3)
    assert (one.approval_low, one.approval_high) == (
        pytest.approx(0.2076596, abs=1e-6),
        pytest.approx(0.9385081, abs=1e-6),
    )
    assert (two.scores, two.score_mean, two.comments, two.implicit, two.thumbs_down) == (2, 0.75, 1, 1, 0)
    assert two.approval is None
    tags = (await desk.call("statistics", StatisticsQuery(by=("tag",)))).rows
    assert [(row.group["tag"], row.scores, row.interactions) for row in tags] == [("a", 2, 1), ("b", 1, 1)]
    days = (await desk.call("statistics", StatisticsQuery(by=("day", "tenant")))).rows
    assert [row.group["day"] for row in days] == ["1970-01-01", "1970-01-02"]
    (early,) = (await desk.call("statistics", StatisticsQuery(by=(), until_ms=DAY_MS, tenant=TENANT))).rows
    assert (early.group, early.interactions, early.thumbs_up) == ({}, 1, 2)
    assert (await desk.call("statistics", StatisticsQuery(tenant="other"))).rows == ()


async def test_erasing_a_data_subject_leaves_a_tombstone_and_nothing_else(desk: FeedbackDesk, rows: Rows) -> None:
    mine, others = completed(user="u1"), completed(user="u2")
    late = completed(user="u1", time_ms=mine.time_ms)
    await desk.say([captured(mine, question="My secret."), captured(others)])
    await rows.until("contents", 2)
    about = new_signal(mine.request_id, kind=SignalKind.COMMENT, value="A secret, too.")
    by_them = new_signal(others.request_id, kind=SignalKind.COMMENT, value="My own words.", rater="u1")
    thumb, theirs = new_signal(mine.request_id), new_signal(others.request_id, kind=SignalKind.COMMENT, value="Fine.")
    for one in (about, by_them, thumb, theirs):
        await desk.call("signal_record", one)
    await rows.fetch(
        "insert into feedback.dataset_rows (dataset, request_id) values ('d@1', $1), ('d@2', $1), ('d@3', $2)",
        mine.request_id,
        others.request_id,
    )
    done = await desk.call("erase", Erase(tenant=TENANT, user="u1", author="root"))
    assert (done.interactions, done.signals, done.datasets) == (1, 2, ("d@1", "d@2"))
    shown = await desk.call("interaction_show", ShowInteraction(mine.request_id))
    assert (shown.erased, shown.user, bytes(shown.messages)) == (True, "", b"null")
    assert {one.value for one in shown.signals} == {"", True}
    kept = await desk.call("interaction_show", ShowInteraction(others.request_id))
    assert not kept.erased
    assert {one.value for one in kept.signals} == {"", "Fine."}
    assert "u1" not in {one.rater for one in kept.signals}
    await desk.say([captured(late, question="My late secret."), captured(mine)])
    await rows.until("interactions", 3)
    assert await rows.count("contents") == 1
    with pytest.raises(ServiceError) as caught:
        await desk.call("signal_record", new_signal(mine.request_id, kind=SignalKind.COMMENT, value="More.", rater="x"))
    assert caught.value.code == "conflict"
    dump = str(await rows.fetch("select to_jsonb(t) as j from feedback.erasures t"))
    assert "u1" not in dump.replace(mine.request_id, "")


async def test_erasing_one_interaction_twice_does_no_harm(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([captured(done)])
    await rows.until("contents", 1)
    for _ in range(2):
        erased = await desk.call("erase", Erase(tenant=TENANT, request_id=f"chatcmpl-{done.request_id}"))
        assert erased.interactions == 1
    assert await rows.count("contents") == 0
    assert await rows.count("erasures") == 2


async def test_a_repeat_that_the_inbox_has_forgotten_is_known_by_its_row(desk: FeedbackDesk, rows: Rows) -> None:
    done, unseen = completed(), completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    first = await desk.call("signal_record", new_signal(done.request_id, time_ms=1))
    second = await desk.call("signal_record", new_signal(done.request_id, time_ms=2, value=False))
    text = new_signal(done.request_id, kind=SignalKind.COMMENT, value="Very kind.", rater="bob")
    await desk.call("signal_record", text)
    await rows.fetch("delete from feedback.inbox")

    again = new_signal(done.request_id, id=first.id, time_ms=1)
    assert (await desk.call("signal_record", again)).id == first.id
    with pytest.raises(ServiceError) as caught:
        await desk.call("signal_record", new_signal(done.request_id, id=second.id, time_ms=3))
    assert caught.value.code == "idempotency_conflict"
    await desk.call("erase", Erase(tenant=TENANT, user="bob", author="root"))
    assert (await desk.call("signal_record", text)).value == ""

    # By the stream: one is a repeat, one abuses an id; what comes with them is recorded.
    fresh = new_signal(done.request_id, rater="cid")
    await desk.say_again([again, new_signal(done.request_id, id=second.id, rater="dan"), fresh])
    await rows.until("signals", 1, f"id = '{fresh.id}'")
    await rows.until("dead_letters", 1, "code = 'idempotency_conflict'")
    # Another abuse has to wait first.
    await desk.say_again([new_signal(unseen.request_id, id=first.id)])
    await rows.until("pending_signals", 1)
    await desk.say([unseen])
    await rows.until("dead_letters", 2, "code = 'idempotency_conflict'")
    assert await rows.count("signals") == 4
