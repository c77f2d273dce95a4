"""What becomes of shares when gateways die, fall silent or stop, and when the allocator starts again."""

import pytest

from libs.contracts.identity import LEASE_TTL_S, Limits
from services.gateway.limits.telling import refusal
from tests.unit.identity.limits_world import Gate, World

P = ("project:p",)


def world_of(**limits: int | str) -> World:
    return World({"project:p": Limits(**limits)})  # type: ignore[arg-type] # numbers and a period, by name


def rush(world: World, gate: Gate, tokens: int = 10, most: int = 50) -> int:
    """How many requests are let in at once."""
    count = 0
    while count < most:
        if not world.begin(gate, P, tokens):
            world.talk(gate)
            if not world.begin(gate, P, tokens):
                break
        count += 1
    assert list(world.overspent()) == []
    return count


def silence(world: World, gate: Gate, seconds: float) -> None:
    """Time passes for one gateway that goes on talking."""
    while seconds > 0:
        world.now_s += min(5.0, seconds)
        seconds -= 5.0
        world.talk(gate)


@pytest.mark.parametrize("limits", [{"requests_per_minute": 5}, {"tokens_per_minute": 50}])
def test_what_a_dead_gateway_began_counts_for_a_minute(limits: dict[str, int]) -> None:
    world = world_of(**limits)
    dead, other = world.open(), world.open()
    assert rush(world, dead) == 5
    world.kill(dead)

    silence(world, other, 50)
    assert rush(world, other) == 0

    silence(world, other, 35)
    assert rush(world, other) == 5


def test_slots_of_a_dead_gateway_return_when_its_lease_is_over() -> None:
    world = world_of(concurrency=3)
    dead, other = world.open(), world.open()
    assert rush(world, dead) == 3
    assert rush(world, other) == 0
    world.kill(dead)
    silence(world, other, LEASE_TTL_S - 1)
    assert rush(world, other) == 0

    silence(world, other, 3)

    assert rush(world, other) == 3


def test_what_a_dead_gateway_had_of_a_budget_stays_spent() -> None:
    world = world_of(budget_tokens=100)
    dead, other = world.open(), world.open()
    assert rush(world, dead, most=4) == 4
    world.kill(dead)
    silence(world, other, 1_000)

    left = rush(world, other)

    assert 0 < left <= 6


def test_a_budget_begins_again_with_its_period() -> None:
    world = world_of(budget_tokens=50, budget_period="day")
    gate = world.open()
    assert rush(world, gate) == 5
    for begun in world.begun:
        world.end(begun, 10)
    silence(world, gate, 15)
    assert rush(world, gate) == 0

    silence(world, gate, 10)

    assert rush(world, gate) == 5


def test_tokens_that_were_not_used_are_free_at_once() -> None:
    world = world_of(tokens_per_minute=100, budget_tokens=150)
    one, other = world.open(), world.open()
    assert rush(world, one) == 10
    for begun in world.begun:
        world.end(begun, 1)
    world.talk(one)

    taken = rush(world, other)
    # What the first one keeps in advance goes back when it hears that somebody is short.
    world.talk(one)
    assert taken + rush(world, other) == 9


def test_gateways_keep_their_shares_through_a_restart_of_the_allocator() -> None:
    world = world_of(requests_per_minute=6, concurrency=20)
    one, other = world.open(), world.open()
    assert rush(world, one, most=3) == 3
    world.restart()

    world.talk(one)

    assert all(not was for was in (one.book.generation, other.book.generation))
    # What is rounded up in what is written down may have been used, as far as the new allocator knows.
    assert 0 <= rush(world, other) <= 3
    silence(world, one, 85)
    assert rush(world, other) + rush(world, one) == 6


def test_a_restart_of_the_allocator_frees_nothing_that_may_have_been_used() -> None:
    world = world_of(requests_per_minute=5, budget_tokens=50)
    dead = world.open()
    assert rush(world, dead) == 5
    world.kill(dead)
    world.restart()
    other = world.open()

    assert rush(world, other) == 0
    silence(world, other, 75)
    assert rush(world, other) == 0


def test_an_idle_holder_is_forgotten_everywhere_and_its_budget_stays_spent() -> None:
    world = world_of(requests_per_minute=5, budget_tokens=50)
    gate = world.open()
    assert rush(world, gate, most=3) == 3
    for begun in world.begun:
        world.end(begun, 10)
    silence(world, gate, 70)

    assert not gate.book.has_news
    assert world.rows["project:p"].out[3] == 30
    assert rush(world, gate) == 2


def test_who_is_short_makes_others_give_back_what_they_keep_in_advance() -> None:
    world = world_of(requests_per_minute=100)
    one, other = world.open(), world.open()
    assert rush(world, one, most=30) == 30
    world.talk(one)
    taken = rush(world, other, most=70)
    world.talk(one)
    world.talk(other)

    assert taken + rush(world, other, most=70) == 70


def test_a_repeated_call_is_answered_as_before_whatever_has_happened_since() -> None:
    world = world_of(requests_per_minute=100)
    one, other = world.open(), world.open()
    assert rush(world, one, most=20) == 20
    world.talk(other)
    world.ask(one)
    world.deliver(len(world.calls) - 1, again=True)
    world.hear(len(world.answers) - 1)
    taken = rush(world, other, most=100)

    world.deliver(len(world.calls) - 1)

    assert taken + rush(world, other, most=100) + rush(world, one, most=100) == 80


def test_what_a_gateway_claims_after_a_restart_is_not_counted_twice() -> None:
    world = world_of(budget_tokens=100)
    one, other = world.open(), world.open()
    assert rush(world, one, most=3) == 3
    for begun in world.begun:
        world.end(begun, 10)
    silence(world, one, 5)
    world.restart()

    world.talk(one)

    assert rush(world, other) == 7


def test_what_is_given_back_is_not_used_while_the_answer_is_on_its_way() -> None:
    world = world_of(requests_per_minute=20)
    one, other = world.open(), world.open()
    assert rush(world, one, most=10) == 10
    world.talk(one)
    world.now_s += 5
    world.ask(one)
    world.deliver(len(world.calls) - 1)
    assert rush(world, other) == 10

    assert not world.begin(one, P, 10)


def test_a_request_counts_until_it_is_a_minute_old() -> None:
    world = world_of(requests_per_minute=1)
    gate = world.open()
    world.now_s += 0.9
    assert rush(world, gate) == 1
    silence(world, gate, 59.5)
    assert rush(world, gate) == 0

    silence(world, gate, 2)

    assert rush(world, gate) == 1


def test_an_older_call_that_comes_late_changes_nothing() -> None:
    world = world_of(requests_per_minute=20)
    one, other = world.open(), world.open()
    assert rush(world, one, most=10) == 10
    # So long after the rush nothing is kept in advance: the call that is late says less than was granted since.
    world.now_s += 5
    world.ask(one)
    assert rush(world, one, most=5) == 5

    world.deliver(0)

    assert rush(world, other) + rush(world, one) == 5


def code_of(gate: Gate, tokens: int, now_s: float) -> str:
    """Of the refusal of a request that has asked."""
    return refusal((gate.book.holder(P[0], Limits(budget_tokens=100)),), tokens, now_s).code


def test_only_what_was_used_anywhere_makes_the_end_of_a_budget_final() -> None:
    world = world_of(budget_tokens=100)
    one, other = world.open(), world.open()
    assert rush(world, one, most=10) == 10
    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "rate_limit_exceeded"
    for begun in world.begun[:9]:
        world.end(begun, 10)
    world.talk(one)
    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "rate_limit_exceeded"

    world.end(world.begun[9], 1)
    world.talk(one)

    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "insufficient_quota"
    assert rush(world, other, tokens=9) == 1


def test_what_a_dead_gateway_had_reserved_is_final_when_its_lease_is_over() -> None:
    world = world_of(budget_tokens=100)
    dead, other = world.open(), world.open()
    assert rush(world, dead, most=10) == 10
    world.kill(dead)
    world.talk(other)
    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "rate_limit_exceeded"

    silence(world, other, LEASE_TTL_S + 1)

    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "insufficient_quota"


def test_an_allocator_that_started_again_believes_a_budget_spent_when_nobody_claims_it() -> None:
    world = world_of(budget_tokens=100)
    dead, other = world.open(), world.open()
    assert rush(world, dead, most=10) == 10
    world.kill(dead)
    world.restart()
    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "rate_limit_exceeded"

    silence(world, other, LEASE_TTL_S + 1)

    assert rush(world, other) == 0
    assert code_of(other, 10, world.now_s) == "insufficient_quota"


def test_a_gateway_whose_lease_is_over_loses_nothing_if_it_is_heard_in_time() -> None:
    world = world_of(budget_tokens=100, requests_per_minute=100)
    gate = world.open()
    assert rush(world, gate, most=2) == 2
    world.now_s += 0.8 * LEASE_TTL_S
    assert not world.begin(gate, P, 10)

    assert rush(world, gate) == 8
    assert gate.book.generation == 1


def test_answers_that_are_lost_while_a_gateway_begins_anew_cost_nothing() -> None:
    world = world_of(budget_tokens=100)
    gate = world.open()
    assert rush(world, gate, most=2) == 2
    world.now_s += 0.8 * LEASE_TTL_S
    for _ in range(5):
        assert not world.begin(gate, P, 10)
        world.ask(gate)
        world.deliver(len(world.calls) - 1, said=False)

    assert rush(world, gate) == 8
