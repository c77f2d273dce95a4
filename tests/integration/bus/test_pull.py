"""The pull consumer against a real JetStream: nothing lost, nothing pulled twice, back again after a kill."""

from libs.contracts import subjects
from libs.contracts.inference import ServiceClass
from libs.contracts.topology import CMD_INFERENCE, scheduler_durable
from libs.kit.bus import BusClient, PullConsumer, PulledMessage
from libs.testkit.nats_server import NatsServer
from libs.testkit.wait import until

SUBJECT = subjects.submit("default", "standard")


class Taker:
    """A scheduler's connection that acknowledges whatever it pulls."""

    def __init__(self, server: NatsServer, *, batch: int = 1_000, expires_s: float = 20.0) -> None:
        self.got: list[PulledMessage] = []
        self.bus = BusClient(server.options("scheduler", reconnect_max_s=0.1), on_state=self._on_state)
        self.pull = PullConsumer(
            self.bus,
            stream=CMD_INFERENCE.name,
            durable=scheduler_durable("default", ServiceClass.STANDARD),
            inbox="rpl.scheduler.t.pull",
            handler=self._take,
            batch=batch,
            expires_s=expires_s,
        )

    def _on_state(self, connected: bool) -> None:
        if connected:
            self.pull.restart()

    def _take(self, pulled: PulledMessage) -> None:
        self.got.append(pulled)
        self.bus.publish(pulled.ack_subject, b"+ACK")


async def _submit(server: NatsServer, numbers: range) -> None:
    gateway = BusClient(server.options("gateway"))
    await gateway.connect()
    for number in numbers:
        gateway.publish(SUBJECT, b"%d" % number)
    await gateway.flush()
    await gateway.close()


async def test_many_small_pulls_deliver_each_message_once(nats: NatsServer) -> None:
    taker = Taker(nats, batch=7)
    await taker.bus.connect()
    taker.pull.start()
    await _submit(nats, range(500))
    await until(lambda: len(taker.got) >= 500)
    await taker.bus.flush()
    assert sorted(int(p.message.payload) for p in taker.got) == list(range(500))
    assert {p.delivery for p in taker.got} == {1}
    await taker.pull.stop()
    await taker.bus.close()


async def test_an_expired_pull_is_followed_by_the_next(nats: NatsServer) -> None:
    taker = Taker(nats, expires_s=0.4)
    await taker.bus.connect()
    taker.pull.start()
    first = taker.pull._generation
    await until(lambda: taker.pull._generation > first)
    await _submit(nats, range(3))
    await until(lambda: len(taker.got) == 3)
    await taker.pull.stop()
    await taker.bus.close()


async def test_pulling_goes_on_after_the_server_was_killed(private_nats: NatsServer) -> None:
    taker = Taker(private_nats)
    await taker.bus.connect()
    taker.pull.start()
    await _submit(private_nats, range(10))
    await until(lambda: len(taker.got) == 10)
    private_nats.kill()
    await until(lambda: not taker.bus.connected)
    private_nats.start()
    await until(lambda: taker.bus.connected)
    await _submit(private_nats, range(10, 20))
    await until(lambda: {int(p.message.payload) for p in taker.got} == set(range(20)))
    await taker.pull.stop()
    await taker.bus.close()
