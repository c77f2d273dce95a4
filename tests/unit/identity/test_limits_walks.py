"""Whatever is lost, repeated, late, killed or started again: nobody ever gets more than a limit allows."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.contracts.identity import Limits
from tests.unit.identity.limits_world import Begun, Gate, World

LIMITS = {
    "project:p": Limits(
        requests_per_minute=12, tokens_per_minute=700, concurrency=5, budget_tokens=900, budget_period="day"
    ),
    "key:a": Limits(requests_per_minute=5, concurrency=2, budget_tokens=400),
    "key:b": Limits(tokens_per_minute=300, budget_tokens=800, budget_period="day"),
}
KEYS = (("project:p", "key:a"), ("project:p", "key:b"), ("project:p",))
INDEX = st.integers(min_value=0, max_value=10_000)


class LimitsMachine(RuleBasedStateMachine):
    """Two to four gateways, one allocator at a time, and a bad network."""

    @initialize()
    def start(self) -> None:
        self.world = World(LIMITS)
        self.world.open()
        self.world.open()

    def gate(self, index: int) -> Gate:
        alive = [gate for gate in self.world.gates if gate.alive]
        return alive[index % len(alive)]

    @rule(index=INDEX, key=st.sampled_from(KEYS), tokens=st.integers(1, 150), tries=st.integers(1, 4))
    def requests_come(self, index: int, key: tuple[str, ...], tokens: int, tries: int) -> None:
        gate = self.gate(index)
        for _ in range(tries):
            if not self.world.begin(gate, key, tokens):
                break

    @rule(index=INDEX, key=st.sampled_from(KEYS), tokens=st.integers(1, 150))
    def request_waits_for_a_call(self, index: int, key: tuple[str, ...], tokens: int) -> None:
        gate = self.gate(index)
        if not self.world.begin(gate, key, tokens):
            self.world.talk(gate)
            self.world.begin(gate, key, tokens)

    @precondition(lambda self: any(one.runs for one in self.world.begun))
    @rule(index=INDEX, part=st.integers(0, 100))
    def request_ends(self, index: int, part: int) -> None:
        running = [one for one in self.world.begun if one.runs]
        self.end(running[index % len(running)], part)

    def end(self, begun: Begun, part: int) -> None:
        self.world.end(begun, begun.tokens * part // 100)

    @rule(index=INDEX)
    def gateway_talks(self, index: int) -> None:
        self.world.talk(self.gate(index))

    @rule(index=INDEX)
    def gateway_asks(self, index: int) -> None:
        self.world.ask(self.gate(index))

    @precondition(lambda self: self.world.calls)
    @rule(index=INDEX, again=st.booleans(), written=st.booleans(), said=st.booleans())
    def call_arrives(self, index: int, again: bool, written: bool, said: bool) -> None:
        self.world.deliver(index % len(self.world.calls), again=again, written=written, said=said)

    @precondition(lambda self: self.world.calls)
    @rule(index=INDEX)
    def call_is_lost(self, index: int) -> None:
        self.world.calls.pop(index % len(self.world.calls))

    @precondition(lambda self: self.world.answers)
    @rule(index=INDEX)
    def answer_arrives(self, index: int) -> None:
        self.world.hear(index % len(self.world.answers))

    @rule(seconds=st.sampled_from((0.3, 1.0, 4.0, 9.0, 25.0, 61.0)))
    def time_passes(self, seconds: float) -> None:
        self.world.now_s += seconds

    @precondition(lambda self: len(self.world.gates) < 4)
    @rule(index=INDEX)
    def gateway_dies(self, index: int) -> None:
        self.world.kill(self.gate(index))
        self.world.open()

    @rule()
    def allocator_starts_again(self) -> None:
        self.world.restart()

    @rule()
    def allocator_tidies(self) -> None:
        self.world.tidy()

    @invariant()
    def nobody_has_more_than_allowed(self) -> None:
        if hasattr(self, "world"):
            assert list(self.world.overspent()) == []


TestLimits = LimitsMachine.TestCase
TestLimits.settings = settings(max_examples=80, stateful_step_count=60, deadline=None)
