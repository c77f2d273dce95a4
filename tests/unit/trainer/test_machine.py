"""The state machine of jobs: nothing outside its table, whoever asks, and the database holds the same table."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from libs.contracts.training import ENDED, TRANSITIONS, JobState
from libs.kit.errors import ServiceError
from services.trainer import migrations
from services.trainer.domain.machine import (
    HELD,
    MOST_DEATHS,
    LostError,
    Standing,
    deaths_after,
    step,
    wish,
)

STATES = st.sampled_from(JobState)
EPOCHS = st.integers(0, 5)


@given(state=STATES, epoch=EPOCHS, mine=EPOCHS, to=STATES)
def test_a_holder_moves_only_what_is_its_own_and_only_where_the_table_leads(
    state: JobState, epoch: int, mine: int, to: JobState
) -> None:
    try:
        moves = step(Standing(state, epoch), mine, to)
    except LostError:
        assert epoch != mine or (to is not state and to not in TRANSITIONS[state])
        return
    assert epoch == mine
    assert (to in TRANSITIONS[state]) if moves else (to is state)


@given(state=STATES, verb=st.sampled_from(["pause", "resume", "cancel"]))
def test_people_move_jobs_only_where_the_table_leads(state: JobState, verb: str) -> None:
    try:
        to = wish("job_1", state, verb)
    except ServiceError:
        assert state in ENDED or verb != "cancel"
        return
    assert to is None or to in TRANSITIONS[state]
    if verb == "resume" and to is not None:
        assert state is JobState.PAUSED


@given(st.lists(st.tuples(EPOCHS, STATES, st.booleans()), max_size=30))
def test_epochs_only_grow_and_ended_jobs_stay_ended(moves: list[tuple[int, JobState, bool]]) -> None:
    standing = Standing(JobState.QUEUED, 0)
    for epoch, to, claims in moves:
        before = standing
        if claims and standing.state is JobState.QUEUED:
            standing = Standing(JobState.CLAIMED, standing.epoch + 1)
        else:
            try:
                if step(standing, epoch, to):
                    standing = Standing(to, standing.epoch)
            except LostError:
                continue
        assert standing.epoch >= before.epoch
        assert before.state not in ENDED or standing == before


def test_the_database_guards_the_same_table() -> None:
    script = next(Path(migrations.__file__).parent.glob("versions/r0001_*.py")).read_text(encoding="utf-8")
    text = script[script.index("_CHANGES") : script.index("def upgrade")]
    pairs = {(JobState(old), JobState(new)) for old, new in re.findall(r"\('(\w+)', '(\w+)'\)", text)}
    assert pairs == {(old, new) for old, follows in TRANSITIONS.items() for new in follows}


def test_whatever_is_held_can_be_given_back() -> None:
    assert all(JobState.QUEUED in TRANSITIONS[state] for state in HELD)


def test_deaths_count_in_a_row_and_only_without_a_newer_checkpoint() -> None:
    deaths = 0
    for _ in range(MOST_DEATHS):
        deaths = deaths_after(deaths, 4, 4)
    assert deaths == MOST_DEATHS
    assert deaths_after(deaths, 4, 8) == 1
