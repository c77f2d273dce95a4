"""The division of users: sticky, exact, independent from rollout to rollout."""

from libs.kit.sticky import SPACE, is_candidates, point

USERS = [f"user-{number}" for number in range(20_000)]


def test_a_user_stays_where_it_is_and_whoever_has_the_candidate_keeps_it() -> None:
    small = {user for user in USERS if is_candidates("r1", user, 0.05)}
    large = {user for user in USERS if is_candidates("r1", user, 0.25)}
    assert small == {user for user in USERS if is_candidates("r1", user, 0.05)}
    assert small < large
    assert 0.045 < len(small) / len(USERS) < 0.055


def test_the_edges_are_exact() -> None:
    assert not any(is_candidates("r1", user, 0.0) for user in USERS)
    assert all(is_candidates("r1", user, 1.0) for user in USERS)
    assert all(0 <= point("r1", user) < SPACE for user in USERS)


def test_another_rollout_draws_anew() -> None:
    first = {user for user in USERS if is_candidates("r1", user, 0.2)}
    second = {user for user in USERS if is_candidates("r2", user, 0.2)}
    assert 0.15 < len(first & second) / len(first) < 0.25


def test_names_cannot_be_shifted_into_one_another() -> None:
    assert point("r1", "2x") != point("r12", "x")
