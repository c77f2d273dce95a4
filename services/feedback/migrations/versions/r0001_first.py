"""The first schema: interactions, contents, signals, and what makes them exactly once."""

from typing import Final

from alembic import op

revision = "r0001"
down_revision = None

_TABLES: Final = """
create table feedback.interactions (
    request_id text primary key,
    tenant text not null,
    time_ms bigint not null,
    model text not null,
    model_version text not null,
    outcome text not null,
    status integer not null,
    error_code text not null,
    route text not null,
    service_class text not null,
    stream boolean not null,
    episode_id text not null,
    end_user text not null,
    key_id text not null,
    client_request_id text not null,
    worker text not null,
    retries integer not null,
    prompt_tokens integer not null,
    cached_tokens integer not null,
    completion_tokens integer not null,
    finish_reason text not null,
    queue_ms integer not null,
    first_byte_ms integer not null,
    total_ms integer not null,
    response_bytes bigint not null,
    erased_ms bigint
);
create index interactions_newest on feedback.interactions (tenant, time_ms, request_id);
create index interactions_of_episode on feedback.interactions (tenant, episode_id) where episode_id <> '';
create index interactions_of_user on feedback.interactions (tenant, end_user) where end_user <> '';

create table feedback.contents (
    request_id text primary key,
    tenant text not null,
    time_ms bigint not null,
    messages text not null,
    answer text not null,
    truncated boolean not null,
    redacted boolean not null
);
create index contents_oldest on feedback.contents (time_ms);

create table feedback.signals (
    tenant text not null,
    id text not null,
    kind text not null,
    request_id text not null,
    episode_id text not null,
    value_bool boolean,
    value_number double precision,
    value_text text,
    rater text not null,
    origin text not null,
    source text not null,
    weight double precision not null,
    tags text[] not null,
    model_version text not null,
    time_ms bigint not null,
    recorded_ms bigint not null,
    key_id text not null,
    supersedes text not null,
    superseded_by text not null,
    primary key (tenant, id),
    constraint value_fits_kind check (
        case kind
            when 'thumb' then value_bool is not null and value_number is null and value_text is null
            when 'score' then value_number between 0 and 1 and value_bool is null and value_text is null
            when 'comment' then value_text is not null and value_bool is null and value_number is null
            when 'demonstration' then value_text is not null and value_bool is null and value_number is null
            else false
        end
    )
);
create index signals_of_interaction on feedback.signals (tenant, request_id) where request_id <> '';
create index signals_of_episode on feedback.signals (tenant, episode_id) where episode_id <> '';

create table feedback.standing (
    tenant text not null,
    target text not null,
    kind text not null,
    origin text not null,
    rater text not null,
    signal_id text not null,
    time_ms bigint not null,
    value_digest bytea not null,
    primary key (tenant, target, kind, origin, rater)
);

create table feedback.inbox (
    tenant text not null,
    id text not null,
    digest bytea not null,
    signal_id text not null,
    code text not null,
    reason text not null,
    time_ms bigint not null,
    primary key (tenant, id)
);
create index inbox_oldest on feedback.inbox using brin (time_ms);

create table feedback.pending_signals (
    tenant text not null,
    id text not null,
    target text not null,
    digest bytea not null,
    command bytea not null,
    expires_ms bigint not null,
    primary key (tenant, id)
);
create index pending_signals_oldest on feedback.pending_signals (expires_ms);

create table feedback.dead_letters (
    id text primary key,
    time_ms bigint not null,
    tenant text not null,
    target text not null,
    rater text not null,
    code text not null,
    reason text not null,
    subject text not null,
    payload bytea not null
);
create index dead_letters_newest on feedback.dead_letters (time_ms, id);

create table feedback.outbox (
    sequence bigint generated always as identity primary key,
    subject text not null,
    ids text[] not null,
    payloads text[] not null,
    time_ms bigint not null
);

create table feedback.erasures (
    id text primary key,
    tenant text not null,
    request_id text not null,
    user_digest text not null,
    author text not null,
    time_ms bigint not null,
    interactions integer not null,
    signals integer not null,
    datasets text[] not null
);
create index erasures_of_user on feedback.erasures (tenant, user_digest) where user_digest <> '';
create index erasures_of_interaction on feedback.erasures (request_id) where request_id <> '';

create table feedback.dataset_rows (
    dataset text not null,
    request_id text not null,
    primary key (dataset, request_id)
);
create index dataset_rows_of_interaction on feedback.dataset_rows (request_id);
"""

_REFUSE: Final = """
create function feedback.refuse_change() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and current_setting('feedback.erasing', true) = 'on' then
        return new;
    end if;
    raise exception '% of %.% is refused: these rows never change', tg_op, tg_table_schema, tg_table_name
        using errcode = 'integrity_constraint_violation';
end $$
"""
"""`feedback.erasing` is set for one transaction by whoever blanks texts; nothing else changes a judgement."""


def upgrade() -> None:
    """Make every table, and the triggers that keep judgements as they were given."""
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(_REFUSE)
    for table in ("signals", "erasures"):
        op.execute(
            f"create trigger never_changes before update or delete on feedback.{table}"
            " for each row execute function feedback.refuse_change()"
        )


def downgrade() -> None:
    """Remove everything."""
    for table in (
        "dataset_rows", "erasures", "outbox", "dead_letters", "pending_signals", "inbox", "standing", "signals",
        "contents", "interactions",
    ):  # fmt: skip
        op.drop_table(table, schema="feedback")
    op.execute("drop function feedback.refuse_change()")
