"""Creates and reconciles every stream and consumer of `libs.contracts.topology`; safe to run again."""

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError

from libs.contracts.topology import BUCKETS, STREAMS, Bucket, Consumer, Stream, consumers
from libs.kit.settings import NatsSettings


async def provision(
    settings: NatsSettings, pools: tuple[str, ...], *, max_stream_bytes: int = 1 << 30, max_queue: int | None = None
) -> list[str]:
    """Make the server hold exactly what the contracts declare.

    Args:
        settings: credentials of the provisioner.
        pools: the pools that this installation serves.
        max_stream_bytes: no stream may be larger than this, whatever the contracts say.
        max_queue: how many requests may wait per pool and class, instead of the contract's number.

    Returns:
        What was created or changed, one line each; empty if all was in place.
    """
    encryption = settings.encryption()
    client = await nats.connect(
        f"nats://{settings.host}:{settings.port}",
        user=settings.user,
        password=settings.secret(),
        name="provisioner",
        tls=encryption,
        tls_handshake_first=encryption is not None,
        connect_timeout=5,
        allow_reconnect=False,
    )
    try:
        return await _reconcile(client, pools, max_stream_bytes, max_queue)
    finally:
        await client.close()


async def _reconcile(client: Client, pools: tuple[str, ...], max_stream_bytes: int, max_queue: int | None) -> list[str]:
    jetstream = client.jetstream()
    changes = [await _put_stream(jetstream, _config(stream, max_stream_bytes, max_queue)) for stream in STREAMS]
    changes += [await _put_stream(jetstream, _bucket_config(bucket)) for bucket in BUCKETS]
    changes += [await _put_consumer(jetstream, consumer) for consumer in consumers(pools)]
    return [change for change in changes if change]


def _config(stream: Stream, max_stream_bytes: int, max_queue: int | None) -> api.StreamConfig:
    work = stream.retention == "workqueue"
    return api.StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=api.RetentionPolicy.WORK_QUEUE if work else api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW if work else api.DiscardPolicy.OLD,
        discard_new_per_subject=work,
        max_msgs_per_subject=max_queue or stream.max_messages_per_subject if work else -1,
        max_age=stream.max_age_s,
        max_bytes=min(stream.max_bytes, max_stream_bytes),
        duplicate_window=stream.duplicate_window_s,
        storage=api.StorageType.FILE,
        allow_direct=stream.direct_get,
    )


def _bucket_config(bucket: Bucket) -> api.StreamConfig:
    """A key-value bucket is a stream of this shape (NATS ADR-8)."""
    return api.StreamConfig(
        name=f"KV_{bucket.name}",
        subjects=[f"$KV.{bucket.name}.>"],
        discard=api.DiscardPolicy.NEW,
        max_msgs_per_subject=bucket.history,
        max_age=0,
        max_bytes=bucket.max_bytes,
        duplicate_window=120,
        storage=api.StorageType.FILE,
        allow_direct=True,
        allow_rollup_hdrs=True,
        deny_delete=True,
    )


async def _put_stream(jetstream: JetStreamContext, wanted: api.StreamConfig) -> str:
    try:
        present = (await jetstream.stream_info(str(wanted.name))).config
    except NotFoundError:
        await jetstream.add_stream(wanted)
        return f"stream {wanted.name} created"
    fields = ("subjects", "discard", "max_msgs_per_subject", "max_age", "max_bytes", "duplicate_window", "allow_direct")
    if all(getattr(present, name) == getattr(wanted, name) for name in fields):
        return ""
    await jetstream.update_stream(wanted)
    return f"stream {wanted.name} updated"


async def _put_consumer(jetstream: JetStreamContext, wanted: Consumer) -> str:
    config = api.ConsumerConfig(
        durable_name=wanted.durable,
        filter_subject=wanted.filter_subject,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=wanted.ack_wait_s,
        max_ack_pending=wanted.max_ack_pending,
        max_deliver=wanted.max_deliver,
    )
    try:
        present = (await jetstream.consumer_info(wanted.stream, wanted.durable)).config
    except NotFoundError:
        await jetstream.add_consumer(wanted.stream, config)
        return f"consumer {wanted.durable} created"
    if (present.ack_wait, present.max_ack_pending, present.max_deliver) == (
        wanted.ack_wait_s,
        wanted.max_ack_pending,
        wanted.max_deliver,
    ):
        return ""
    await jetstream.add_consumer(wanted.stream, config)
    return f"consumer {wanted.durable} updated"
