"""What a request may cost, what a refusal says, and what the headers tell."""

import hashlib
from datetime import datetime, timedelta
from typing import cast

import msgspec
import pytest

from libs.contracts.identity import LEASE_TTL_S, Amounts, Grant, KeyRecord, Leased, Limits
from libs.contracts.permissions import Role
from libs.contracts.requests import ROUTES
from libs.kit import clock
from libs.kit.bus import BusClient
from services.gateway.bodies import decode
from services.gateway.dialects import dialect_of
from services.gateway.dialects.openai import duration_text
from services.gateway.identity import Keyring
from services.gateway.limits import bounds
from services.gateway.limits.book import Book
from services.gateway.limits.holders import REQUESTS, Holder
from services.gateway.limits.limiter import Limiter
from services.gateway.limits.telling import is_hopeless, left, refusal, too_large
from services.gateway.replies import retry_headers

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize(
    ("path", "fields", "bound"),
    [
        (CHAT, {"messages": [], "max_tokens": 5}, 5),
        (CHAT, {"messages": [], "max_tokens": 5, "max_completion_tokens": 7, "n": 3}, 21),
        ("/v1/completions", {"prompt": "a", "max_tokens": 5, "n": 2}, 10),
        ("/v1/completions", {"prompt": ["a", "b", "c"], "max_tokens": 5}, 15),
        ("/v1/completions", {"prompt": [[1, 2], [3]], "max_tokens": 5}, 10),
        ("/v1/completions", {"prompt": [1, 2, 3], "max_tokens": 5}, 5),
        ("/v1/responses", {"input": "a", "max_output_tokens": 9}, 9),
        ("/v1/messages", {"messages": [], "max_tokens": 4}, 4),
        ("/v1/embeddings", {"input": "a"}, 0),
        ("/tokenize", {"prompt": "a"}, 0),
    ],
)
def test_an_answer_is_bounded_by_what_the_client_allows(path: str, fields: dict[str, object], bound: int) -> None:
    body = decode(ROUTES[path], msgspec.json.encode({"model": "m", **fields}))
    assert bounds.answer_bound(path, body) == bound


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, b'{"model":"m","messages":[]}'),
        (CHAT, b' {"model":"m","messages":[],"max_tokens":null } \n'),
        ("/v1/completions", b'{"model":"m","prompt":"}"}'),
        ("/v1/responses", b'{"model":"m","input":"a"}'),
    ],
)
def test_a_request_without_a_limit_gets_one_that_the_engine_reads(path: str, body: bytes) -> None:
    fields = decode(ROUTES[path], body)
    assert bounds.needs_limit(path, fields)

    limited = bounds.with_limit(path, fields, body, 33)

    assert decode(ROUTES[path], limited).token_limit() == fields.token_limit() == 33
    assert msgspec.json.decode(limited)["model"] == "m"


def book_with(share: Amounts, limits: Limits, now_s: float = 100.0) -> tuple[Book, Holder]:
    book = Book("g1")
    holder = book.holder("key:k", limits)
    book.ask(now_s)
    grant = Grant(holder="key:k", share=share, period="2026-11", elsewhere_requests=2, wait_s=3.0)
    assert book.hear(Leased(epoch="1", grants=(grant,)), now_s)
    return book, holder


def test_a_refusal_names_the_limit_and_when_it_is_free_again() -> None:
    book, holder = book_with(Amounts(requests=1), Limits(requests_per_minute=3))
    assert book.reserve((holder,), 0, 100.0) is not None

    assert book.reserve((holder,), 0, 101.0) is None

    error = refusal((holder,), 0, 101.0)
    assert error.code == "rate_limit_exceeded"
    assert "3 requests per minute of the key k" in error.message
    # Another gateway's part is free sooner than ours.
    assert error.retry_after_s == 3.0
    headers = dict(retry_headers(error, 429, work_began=False))
    assert 3_000 <= int(headers[b"retry-after-ms"]) <= 3_600
    assert b"x-should-retry" not in headers


def test_a_spent_budget_is_no_use_trying_again() -> None:
    _, holder = book_with(Amounts(budget_tokens=10), Limits(budget_tokens=10))

    error = refusal((holder,), 11, 100.0)

    assert error.code == "insufficient_quota"
    assert dict(retry_headers(error, 429, work_began=False))[b"x-should-retry"] == b"false"
    openai = msgspec.json.decode(dialect_of("openai").body(error, "r1"))["error"]
    assert (openai["type"], openai["code"]) == ("insufficient_quota", "insufficient_quota")
    anthropic = msgspec.json.decode(dialect_of("anthropic").body(error, "r1"))["error"]
    assert anthropic["type"] == "rate_limit_error"


def test_a_budget_that_is_only_reserved_may_be_tried_again() -> None:
    book, holder = book_with(Amounts(budget_tokens=10), Limits(budget_tokens=10))
    reservation = book.reserve((holder,), 8, 100.0)
    assert reservation is not None

    reserved = refusal((holder,), 5, 100.0)
    book.settle(reservation, 6)
    spent = refusal((holder,), 5, 100.0)

    assert (reserved.code, spent.code) == ("rate_limit_exceeded", "insufficient_quota")
    headers = dict(retry_headers(reserved, 429, work_began=False))
    assert int(headers[b"retry-after-ms"]) >= 1_000
    assert b"x-should-retry" not in headers


def test_headers_tell_of_the_holder_that_has_least_left() -> None:
    book, holder = book_with(Amounts(requests=5, tokens=100), Limits(requests_per_minute=9, tokens_per_minute=100))
    wide = Holder("project:p", Limits(requests_per_minute=1_000))
    book.reserve((holder,), 30, 100.5)

    found = left((wide, holder), 101.0)
    lines = dialect_of("openai").limit_lines(found).decode()

    assert "x-ratelimit-limit-requests: 9\r\nx-ratelimit-remaining-requests: 6\r\n" in lines
    assert "x-ratelimit-limit-tokens: 100\r\nx-ratelimit-remaining-tokens: 70\r\n" in lines
    assert "x-ratelimit-reset-requests: 1m0s\r\n" in lines
    began_s = clock.unix_ms() / 1000
    anthropic = dialect_of("anthropic").limit_lines(found).decode()
    told = dict(line.split(": ", 1) for line in anthropic.splitlines())
    of = "anthropic-ratelimit-"
    assert [told[f"{of}requests-limit"], told[f"{of}requests-remaining"]] == ["9", "6"]
    assert [told[f"{of}tokens-limit"], told[f"{of}tokens-remaining"]] == ["100", "70"]
    for name in ("requests", "tokens"):
        reset = datetime.fromisoformat(told[f"{of}{name}-reset"])
        assert reset.utcoffset() == timedelta(0)
        assert began_s + 59 <= reset.timestamp() <= clock.unix_ms() / 1000 + 62
    assert len(told) == 6
    assert dialect_of("anthropic").limit_lines([]) == b""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, b"0s"), (0.2, b"1s"), (59.5, b"1m0s"), (360, b"6m0s"), (3661, b"1h1m1s")]
)
def test_durations_are_written_as_the_sdks_users_know_them(seconds: float, text: bytes) -> None:
    assert duration_text(seconds) == text


def test_shares_are_good_for_a_part_of_the_lease_only() -> None:
    book, holder = book_with(Amounts(requests=5), Limits(requests_per_minute=5))
    assert book.reserve((holder,), 0, 100.0 + 0.69 * LEASE_TTL_S) is not None

    assert book.reserve((holder,), 0, 100.0 + 0.71 * LEASE_TTL_S) is None


def test_a_key_and_those_that_took_over_from_it_share_one_holder() -> None:
    keyring = Keyring({})
    digests = [hashlib.sha256(secret).hexdigest() for secret in (b"old", b"new", b"other")]
    one_minute = Limits(requests_per_minute=1)
    keyring.change(
        KeyRecord(id=f"key_{number}", digest=digest, role=Role.MEMBER, tenant="p", limits=one_minute, first_key=first)
        for number, (digest, first) in enumerate(zip(digests, ("", "key_0", ""), strict=True))
    )
    limiter = Limiter(cast("BusClient", None), "g1", answer_tokens=1)

    named = [limiter.limits_of(keyring.identify(b"Bearer " + secret, b"")) for secret in (b"old", b"new", b"other")]

    assert named[0] == named[1] == (("key:key_0", one_minute),)
    assert named[2] == (("key:key_2", one_minute),)


def test_a_request_is_settled_once() -> None:
    book, holder = book_with(Amounts(slots=2, tokens=50), Limits(concurrency=2, tokens_per_minute=50))
    reservation = book.reserve((holder,), 20, 100.0)
    assert reservation is not None

    book.settle(reservation, 5)
    book.settle(reservation, 5)

    assert (holder.running, holder.window.tokens) == (0, 5)


@pytest.mark.parametrize(
    ("limits", "code"),
    [(Limits(tokens_per_minute=5), "rate_limit_exceeded"), (Limits(budget_tokens=5), "insufficient_quota")],
)
def test_a_request_that_never_fits_is_refused_before_anything_is_granted(limits: Limits, code: str) -> None:
    holder = Book("g1").holder("key:k", limits)

    error = too_large((Holder("project:p", Limits()), holder), 6, 100.0)

    assert error is not None
    assert error.code == code
    assert too_large((holder,), 5, 100.0) is None


def test_who_comes_while_a_call_is_under_way_is_not_refused_for_what_was_not_asked() -> None:
    book = Book("g1")
    holder = book.holder("key:k", Limits(requests_per_minute=5))
    holder.waiting_requests = 1
    book.ask(100.0)
    holder.waiting_requests = 4

    book.hear(Leased(epoch="1", grants=(Grant(holder="key:k", share=Amounts(requests=1)),)), 100.0)

    assert not is_hopeless(holder, REQUESTS, 0, 100.0)
    book.ask(100.0)
    book.hear(Leased(epoch="1", grants=(Grant(holder="key:k", share=Amounts(requests=1)),)), 100.0)
    assert is_hopeless(holder, REQUESTS, 0, 100.0)


def test_an_answer_that_comes_late_is_not_believed() -> None:
    book = Book("g1")
    holder = book.holder("key:k", Limits(requests_per_minute=5))
    book.ask(100.0)

    late = Leased(epoch="1", grants=(Grant(holder="key:k", share=Amounts(requests=5)),))

    assert not book.hear(late, 100.0 + 0.35 * LEASE_TTL_S)
    assert book.reserve((holder,), 0, 100.0 + 0.35 * LEASE_TTL_S) is None
