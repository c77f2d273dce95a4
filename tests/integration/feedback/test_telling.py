"""What is announced of how versions are judged: whole rows, while they change."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from libs.contracts import subjects
from libs.contracts.feedback import StatisticsQuery, StatisticsRow, StatisticsUpdated
from libs.testkit.feedback import FeedbackGround, Rows, completed, new_signal

OLD, NEW = "helpdesk@sha256:0123456789ab", "helpdesk@sha256:ba9876543210"
Events = Callable[[], Awaitable[list[Any]]]


async def _told(events: Events) -> list[StatisticsRow]:
    return [
        msgspec.json.decode(one.data, type=StatisticsUpdated).row
        for one in await events()
        if one.subject == subjects.STATISTICS_UPDATED
    ]


def _group(version: str, tag: str = "") -> dict[str, str]:
    return {"model_version": version, "tag": tag} if tag else {"model_version": version}


async def _last(events: Events, group: dict[str, str], thumbs: int) -> StatisticsRow:
    """The row of a group as it was said last, when it has so many thumbs."""

    def fits(row: StatisticsRow) -> bool:
        return row.thumbs_up + row.thumbs_down == thumbs

    return await _when(events, group, fits)


async def _when(events: Events, group: dict[str, str], fits: Callable[[StatisticsRow], bool]) -> StatisticsRow:
    async with asyncio.timeout(60):
        while True:
            rows = [row for row in await _told(events) if row.group == group]
            if rows and fits(rows[-1]):
                return rows[-1]
            await asyncio.sleep(0.1)


async def test_each_version_and_tag_is_told_whole_with_its_interval(ground: FeedbackGround, events: Events) -> None:
    async with ground.feedback(statistics_s=0.05) as feedback, ground.desk() as desk:
        assert feedback.instance
        one, two = completed(model_version=OLD), completed(model_version=NEW)
        await desk.say([one, two])
        await desk.say([new_signal(one.request_id, rater=f"r{n}", value=n < 3, tags=("shop",)) for n in range(4)])
        await desk.say([new_signal(two.request_id)])
        whole = await _last(events, _group(OLD), 4)
        tagged = await _last(events, _group(OLD, "shop"), 4)
        other = await _last(events, _group(NEW), 1)
        asked = await desk.call("statistics", StatisticsQuery())
    assert whole in asked.rows
    assert other in asked.rows
    assert (tagged.thumbs_up, tagged.thumbs_down, tagged.approval) == (3, 1, 0.75)
    assert tagged.approval_low is not None
    assert tagged.approval_high is not None
    assert 0 < tagged.approval_low < 0.75 < tagged.approval_high < 1


async def test_only_what_changed_is_told_again_and_a_changed_mind_changes_it(
    ground: FeedbackGround, events: Events
) -> None:
    async with ground.feedback(statistics_s=0.05), ground.desk() as desk:
        one, two = completed(model_version=OLD), completed(model_version=NEW)
        await desk.say([one, two])
        await desk.say([new_signal(one.request_id), new_signal(two.request_id)])
        await _last(events, _group(OLD), 1)
        await _last(events, _group(NEW), 1)
        await desk.say([new_signal(two.request_id, value=False)])
        await _when(events, _group(NEW), lambda row: (row.thumbs_up, row.thumbs_down) == (0, 1))
        told = await _told(events)
    assert [row.thumbs_up for row in told if row.group == _group(OLD)] == [1]


async def test_what_a_killed_process_did_not_say_the_next_one_says(
    ground: FeedbackGround, rows: Rows, events: Events
) -> None:
    done = completed(model_version=OLD)
    async with ground.feedback(), ground.desk() as desk:
        # It looks once in an hour, so it ends before it says anything.
        await desk.say([done])
        await desk.say([new_signal(done.request_id)])
        await rows.until("signals", 1)
    assert await _told(events) == []
    async with ground.feedback():
        assert (await _last(events, _group(OLD), 1)).thumbs_up == 1
    async with ground.feedback(statistics_s=0.05):
        await rows.until("outbox", 0)
    assert len(await _told(events)) == 1, "the same row is said once"
