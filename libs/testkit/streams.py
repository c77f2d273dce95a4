"""Looks into JetStream as the provisioner may: what a stream holds, and how far it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats as nats_py
from nats.js import JetStreamContext
from nats.js.api import RawStreamMsg, StreamState

from libs.testkit.nats_server import NatsServer


@asynccontextmanager
async def jetstream(server: NatsServer) -> AsyncIterator[JetStreamContext]:
    """A context of `server` that may read and change everything, for as long as the block lasts."""
    client = await nats_py.connect(
        f"nats://{server.host}:{server.port}", user="provisioner", password=server.passwords["provisioner"]
    )
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def stream_state(server: NatsServer, stream: str) -> StreamState:
    """How many messages `stream` holds, and the numbers of the first and the last that it was given."""
    async with jetstream(server) as context:
        return (await context.stream_info(stream)).state


async def stream_messages(server: NatsServer, stream: str) -> list[RawStreamMsg]:
    """Everything that `stream` holds, oldest first."""
    async with jetstream(server) as context:
        state = (await context.stream_info(stream)).state
        return [await context.get_msg(stream, number) for number in range(max(1, state.first_seq), state.last_seq + 1)]
