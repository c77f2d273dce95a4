"""What a gateway announces of an exchange's text: as the client saw it, where it is wanted, if an engine began."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import nats as nats_py
import pytest
import pytest_asyncio
from nats.aio.subscription import Subscription

from libs.contracts import subjects
from libs.contracts.feedback import Captured
from libs.testkit.front import CHAT, Front
from libs.testkit.nats_server import NatsServer
from libs.testkit.path_double import Double
from libs.testkit.wait import until

STREAM = CHAT | {"stream": True, "user": "u-7"}


@pytest.fixture
def overrides(request: pytest.FixtureRequest) -> dict[str, Any]:
    return dict(getattr(request, "param", {"capture_content": True}))


@pytest_asyncio.fixture(loop_scope="session")
async def captured(nats: NatsServer) -> AsyncIterator[Subscription]:
    client = await nats_py.connect(
        f"nats://{nats.host}:{nats.port}", user="provisioner", password=nats.passwords["provisioner"]
    )
    subscription = await client.subscribe(subjects.CAPTURED)
    await client.flush()
    yield subscription
    await client.close()


async def _next(captured: Subscription) -> Captured:
    return msgspec.json.decode((await captured.next_msg(timeout=5)).data, type=Captured)


async def test_a_stream_is_kept_as_the_client_saw_it(front: Front, double: Double, captured: Subscription) -> None:
    task = front.ask(body=STREAM, x_llmos_episode="talk-1")
    work = await double.next()
    work.accept()
    work.head(b"data: 1\n\n")
    work.more(b"data: 2\n\n")
    work.last(b"data: [DONE]\n\n")
    response = await task
    kept = await _next(captured)
    assert kept.response.encode() == response.content == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert bytes(kept.request) == work.body
    assert (kept.completed.episode_id, kept.completed.user) == ("talk-1", "u-7")
    assert kept.completed.request_id == work.envelope.request_id


async def test_what_no_engine_began_is_not_kept(front: Front, double: Double, captured: Subscription) -> None:
    assert (await front.post(body=CHAT | {"model": "nobody"})).status_code == 404
    double.on_work = lambda work: work.answer(b'{"second":true}')
    assert (await front.post()).status_code == 200
    assert (await _next(captured)).response == '{"second":true}'


@pytest.mark.parametrize("overrides", [{}], indirect=True)
async def test_nothing_is_kept_where_nobody_asked_for_it(front: Front, double: Double, captured: Subscription) -> None:
    double.on_work = lambda work: work.answer()
    assert (await front.post()).status_code == 200
    await until(lambda: front.gateway.events.pending == 0, what="every event acknowledged")
    assert captured.pending_msgs == 0


async def test_an_episode_must_have_a_plain_name(front: Front) -> None:
    refused = await front.post(x_llmos_episode="a b")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "x-llmos-episode")
