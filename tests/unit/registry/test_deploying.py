"""What a pool is told: two-step alias moves, names that stay, adapters that leave after their grace."""

from collections.abc import Callable

from libs.contracts.registry import DeployedVersion, Deployment
from services.registry.domain.deploying import Declared, Plan, Target, counted, plan, restarts

GRACE_MS = 1_000


def version(number: int, name: str = "helpdesk") -> DeployedVersion:
    digest = f"{number:064x}"
    return DeployedVersion(f"{name}@sha256:{digest[:12]}-{number}", digest)


BASE, NEXT, ONE, TWO = version(1), version(2), version(11), version(12)


def declared(base: DeployedVersion = BASE, *adapters: DeployedVersion, engine_args: tuple[str, ...] = ()) -> Declared:
    return Declared(
        pool="default",
        generation=1,
        base_name="helpdesk",
        base=base,
        adapters=adapters,
        engine_args=engine_args,
        replicas=1,
    )


def pointing(to: DeployedVersion, *, alias: str = "champion", base: DeployedVersion | None = BASE) -> Target:
    is_model = to in (BASE, NEXT)
    return Target(name="helpdesk", alias=alias, version=to, base_digest="" if is_model or base is None else base.digest)


def step(
    before: Plan | None,
    *targets: Target,
    what: Declared | None = None,
    loaded: Callable[[str], bool] = lambda _: False,
    now_ms: int = 0,
) -> Plan:
    return plan(what or declared(), targets, before, is_loaded=loaded, now_ms=now_ms, grace_ms=GRACE_MS)


def served(before: Plan | None) -> Deployment:
    assert before is not None
    return before.deployment


def test_a_base_answers_to_its_name_and_to_the_aliases_that_point_to_it() -> None:
    first = step(None, pointing(BASE), pointing(BASE, alias="stable"))
    assert served(first).revision == 1
    assert served(first).names == dict.fromkeys(("helpdesk", "helpdesk@champion", "helpdesk@stable"), BASE.reference)
    assert step(first, pointing(BASE), pointing(BASE, alias="stable"), now_ms=5) == first


def test_a_base_without_a_champion_answers_to_its_bare_name() -> None:
    assert served(step(None)).names == {"helpdesk": BASE.reference}


def test_an_alias_moves_in_two_steps() -> None:
    first = step(None, pointing(BASE))
    second = step(first, pointing(ONE))
    assert served(second).adapters == (ONE,)
    assert served(second).names == served(first).names
    assert served(second).desired_aliases == {"helpdesk@champion": ONE.reference}
    assert served(second).revision == 2
    third = step(second, pointing(ONE), loaded=lambda reference: reference == ONE.reference)
    assert served(third).names == {"helpdesk": ONE.reference, "helpdesk@champion": ONE.reference}
    assert served(third).desired_aliases == {}
    # Once moved, a worker that comes later and has not loaded it yet does not move it back.
    assert step(third, pointing(ONE)) == third


def test_only_another_declaration_raises_the_generation() -> None:
    first = counted(declared(), None)
    assert first.generation == 1
    assert counted(declared(), first) == first
    second = counted(declared(engine_args=("--x",)), first)
    assert second.generation == 2
    before = step(None, pointing(BASE), what=first)
    moved = step(before, pointing(ONE), what=first)
    assert (served(moved).generation, served(moved).revision) == (1, 2)
    assert served(step(moved, pointing(ONE), what=second)).generation == 2


def test_the_old_adapter_stays_while_a_name_needs_it_and_then_for_its_grace() -> None:
    first = step(None, pointing(ONE), loaded=lambda _: True)
    waiting = step(first, pointing(TWO))
    assert served(waiting).adapters == (ONE, TWO)
    assert served(waiting).names["helpdesk"] == ONE.reference
    assert waiting.leaving == {}
    moved = step(waiting, pointing(TWO), loaded=lambda _: True, now_ms=100)
    assert (served(moved).adapters, moved.leaving) == ((ONE, TWO), {ONE.reference: 100})
    late = step(moved, pointing(TWO), now_ms=100 + GRACE_MS - 1)
    assert late == moved
    gone = step(late, pointing(TWO), now_ms=100 + GRACE_MS)
    assert (served(gone).adapters, gone.leaving) == ((TWO,), {})
    assert served(gone).revision == served(moved).revision + 1


def test_an_adapter_that_is_wanted_again_during_its_grace_does_not_leave() -> None:
    moved = step(step(None, pointing(ONE), loaded=lambda _: True), pointing(BASE), now_ms=100)
    assert moved.leaving == {ONE.reference: 100}
    back = step(moved, pointing(ONE), now_ms=500, loaded=lambda _: True)
    assert back.leaving == {}
    assert step(back, pointing(ONE), now_ms=5_000) == back


def test_an_explicit_adapter_stays_loaded_without_any_alias() -> None:
    what = declared(BASE, TWO)
    first = step(None, what=what)
    assert served(first).adapters == (TWO,)
    assert step(first, what=what, now_ms=GRACE_MS * 9) == first


def test_an_alias_of_another_base_keeps_what_it_had_here_and_says_where_it_wants_to_go() -> None:
    first = step(None, pointing(ONE), loaded=lambda _: True)
    elsewhere = step(first, pointing(NEXT), loaded=lambda _: True)
    assert served(elsewhere).names == served(first).names
    assert served(elsewhere).desired_aliases == {"helpdesk@champion": NEXT.reference}
    foreign = step(first, pointing(TWO, base=NEXT), loaded=lambda _: True)
    assert served(foreign).adapters == (ONE,)


def test_a_new_base_brings_its_names_and_drops_what_belonged_to_the_old_one() -> None:
    first = step(None, pointing(ONE), pointing(BASE, alias="stable"), loaded=lambda _: True)
    rolled = step(first, pointing(NEXT), pointing(BASE, alias="stable"), what=declared(NEXT))
    assert served(rolled).base == NEXT
    assert served(rolled).adapters == ()
    assert served(rolled).names == {"helpdesk": NEXT.reference, "helpdesk@champion": NEXT.reference}
    assert served(rolled).desired_aliases == {"helpdesk@stable": BASE.reference}
    assert restarts(served(first), served(rolled))


def test_the_bare_name_goes_on_answering_while_the_champion_waits_for_the_base() -> None:
    first = step(None, pointing(BASE))
    rolled = step(first, pointing(BASE), what=declared(NEXT))
    assert served(rolled).names == {"helpdesk": NEXT.reference}


def test_an_alias_that_was_removed_is_not_served_any_more() -> None:
    first = step(None, pointing(ONE), pointing(TWO, alias="challenger"), loaded=lambda _: True)
    second = step(first, pointing(ONE), now_ms=7)
    assert set(served(second).names) == {"helpdesk", "helpdesk@champion"}
    assert second.leaving == {TWO.reference: 7}


def test_engine_arguments_restart_an_engine_and_replicas_do_not() -> None:
    first, second = step(None), step(step(None), what=declared(engine_args=("--x",)))
    assert restarts(served(first), served(second))
    assert restarts(None, served(first))
    assert not restarts(served(first), served(first))
