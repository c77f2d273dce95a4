"""Whatever is lost, repeated, late, killed or started again: nobody ever gets more than a limit allows."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from libs.contracts.identity import LEASE_TTL_S, Limits
from tests.unit.identity.limits_world import Gate, World

LIMITS = {
    "project:p": Limits(requests_per_minute=4, concurrency=3),
    "key:a": Limits(tokens_per_minute=60, budget_tokens=120, budget_period="day"),
}
KEYS = (("project:p",), ("key:a",), ("project:p", "key:a"))
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

    @rule(index=INDEX, key=st.sampled_from(KEYS), tokens=st.integers(5, 30), all_of_them=st.booleans())
    def requests_rush_in(self, index: int, key: tuple[str, ...], tokens: int, all_of_them: bool) -> None:
        """As many as are let in, at one gateway or one after the other; who is short waits for one call."""
        gates = [gate for gate in self.world.gates if gate.alive] if all_of_them else [self.gate(index)]
        for gate in gates:
            for _ in range(10):
                if not self.world.begin(gate, key, tokens):
                    self.world.talk(gate)
                    if not self.world.begin(gate, key, tokens):
                        break

    @rule(index=INDEX, key=st.sampled_from(KEYS), tokens=st.integers(5, 30))
    def request_comes_and_the_answer_is_on_its_way(self, index: int, key: tuple[str, ...], tokens: int) -> None:
        gate = self.gate(index)
        if not self.world.begin(gate, key, tokens):
            self.world.ask(gate)
            self.world.deliver(len(self.world.calls) - 1, again=True)

    @precondition(lambda self: any(one.runs for one in self.world.begun))
    @rule(index=INDEX, part=st.sampled_from((0, 40, 100)), count=st.integers(1, 4))
    def requests_end(self, index: int, part: int, count: int) -> None:
        for _ in range(count):
            running = [one for one in self.world.begun if one.runs]
            if running:
                begun = running[index % len(running)]
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

    @rule(seconds=st.sampled_from((0.5, 4.0, LEASE_TTL_S, 61.5)))
    def time_passes(self, seconds: float) -> None:
        self.world.now_s += seconds

    @precondition(lambda self: len(self.world.gates) < 4)
    @rule(index=INDEX, seconds=st.sampled_from((0.5, LEASE_TTL_S + 0.5, 30.0)))
    def gateway_dies(self, index: int, seconds: float) -> None:
        self.world.kill(self.gate(index))
        self.world.now_s += seconds
        self.world.talk(self.world.open())

    @rule(index=INDEX, seconds=st.sampled_from((0.85 * LEASE_TTL_S, LEASE_TTL_S + 0.5, 40.0)))
    def gateway_is_cut_off_while_another_talks(self, index: int, seconds: float) -> None:
        silent = self.gate(index)
        self.world.now_s += seconds
        for gate in self.world.gates:
            if gate.alive and gate is not silent:
                self.world.talk(gate)

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
TestLimits.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)
