"""Judgements through the stream and through calls: each recorded once, each announced."""

from libs.contracts.feedback import InteractionPage, ListInteractions, Signal
from libs.testkit.feedback import TENANT, FeedbackDesk, Rows, captured, completed, new_signal


async def test_an_interaction_and_its_signal_are_shown_together(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed(user="u1", episode_id="e1")
    await desk.say([done, captured(done)])
    await rows.until("contents", 1)
    said = new_signal(done.request_id, tags=("b", "a"))
    await desk.say([said])
    await rows.until("signals", 1)
    page = await desk.call("interaction_list", ListInteractions(tenant=TENANT))
    assert isinstance(page, InteractionPage)
    (shown,) = page.interactions
    assert shown.inference_id == f"chatcmpl-{done.request_id}"
    assert shown.model_version == done.model_version
    assert bytes(shown.messages) == b'[{"role":"user","content":"Hello?"}]'
    assert bytes(shown.answer) == b'{"role":"assistant","content":"Good day."}'
    (signal,) = shown.signals
    assert (signal.id, signal.value, signal.tags, signal.weight) == (said.id, True, ("a", "b"), 1.0)
    assert signal.model_version == done.model_version


async def test_a_repeat_by_call_is_answered_with_the_same_signal(desk: FeedbackDesk, rows: Rows) -> None:
    done = completed()
    await desk.say([done])
    await rows.until("interactions", 1)
    said = new_signal(done.request_id)
    first = await desk.call("signal_record", said)
    assert isinstance(first, Signal)
    assert first.recorded_ms > 0
    assert await desk.call("signal_record", said) == first
    await desk.say([said])
    await rows.until("outbox", 0)
    assert await rows.count("signals") == 1
