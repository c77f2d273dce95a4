"""What clients are told of their limits: refusals, and how much is left."""

from typing import Final

from libs.kit import clock
from libs.kit.errors import ServiceError
from services.gateway.dialects import Left
from services.gateway.limits.holders import BUDGET, REQUESTS, SLOTS, TOKENS, Holder

_SLOT_RETRY_S: Final = 1.0
_UNKNOWN_RETRY_S: Final = 1.0
_NEVER_RETRY_S: Final = 3_600.0
"""For what only a person can change."""
_WORDS: Final = ("requests per minute", "tokens per minute", "requests at the same time")


def refusal(holders: tuple[Holder, ...], tokens: int, now_s: float) -> ServiceError:
    """Why a request is not let in, and when it may be."""
    for holder in holders:
        kind = holder.lacks(tokens)
        if kind >= 0:
            return _refused(holder, kind, tokens, now_s)
    return unavailable()


def too_large(holders: tuple[Holder, ...], tokens: int, now_s: float) -> ServiceError | None:
    """Why a request is never let in, whatever others use; None if it may be."""
    for holder in holders:
        for kind in (TOKENS, BUDGET):
            if 0 < holder.maxima[kind] < tokens:
                return _refused(holder, kind, tokens, now_s)
    return None


def unavailable() -> ServiceError:
    """Nobody grants anything just now."""
    text = "Limits cannot be checked at the moment, because no identity service answers. Try again soon."
    return ServiceError("identity_unavailable", text, retry_after_s=1.0)


def is_hopeless(holder: Holder, kind: int, tokens: int, now_s: float) -> bool:
    """Whether asking for a larger share cannot help at once."""
    amount = 1 if kind in (REQUESTS, SLOTS) else tokens
    return holder.in_use()[kind] + amount > holder.maxima[kind] or now_s < holder.refused_until_s


def left(holders: tuple[Holder, ...], now_s: float) -> list[Left]:
    """How much of each limit per minute is left, of the holder that has least of it."""
    found = []
    for kind, name in ((REQUESTS, b"requests"), (TOKENS, b"tokens")):
        tightest: Holder | None = None
        least = 0
        for holder in holders:
            limit = holder.maxima[kind]
            if limit:
                used = holder.window.requests if kind == REQUESTS else holder.window.tokens
                remaining = max(0, limit - used - holder.elsewhere[kind])
                if tightest is None or remaining < least:
                    tightest, least = holder, remaining
        if tightest is not None:
            found.append(Left(name, tightest.maxima[kind], least, tightest.window.empty_s(now_s)))
    return found


def _refused(holder: Holder, kind: int, tokens: int, now_s: float) -> ServiceError:
    whose, _, name = holder.name.partition(":")
    who = f"the {whose} {name}"
    limit = holder.maxima[kind]
    if kind == BUDGET:
        return _refused_budget(holder, who, tokens)
    if kind == TOKENS and tokens > limit:
        text = f"This request may take up to {tokens} tokens, more than the {limit} tokens per minute of {who}."
        return ServiceError("rate_limit_exceeded", f"{text} Lower its token limit.", retry_after_s=_NEVER_RETRY_S)
    wait_s = _wait_s(holder, kind, tokens, now_s)
    text = f"The limit of {limit} {_WORDS[kind]} of {who} is reached. Try again in {max(wait_s, 0.1):.1f} s."
    return ServiceError("rate_limit_exceeded", text, retry_after_s=wait_s)


def _refused_budget(holder: Holder, who: str, tokens: int) -> ServiceError:
    """Final only if what was used leaves too little: what requests that run have reserved comes back in part."""
    wait_s = holder.period_ends_ms / 1000 - clock.unix_ms() / 1000 if holder.period_ends_ms else _NEVER_RETRY_S
    limit = holder.maxima[BUDGET]
    spent = holder.spent_tokens + holder.elsewhere_spent_tokens
    # A period that is over is spent no more: the next grant says so.
    if spent + tokens > limit and wait_s > 0:
        asked = f"This request may take up to {tokens} tokens; so many are not left of the {limit} that {who} may use"
        until = "until its period ends" if holder.period_ends_ms else "in all"
        return ServiceError("insufficient_quota", f"{asked} {until}.", retry_after_s=max(1.0, wait_s))
    text = f"Requests that run have reserved what is left of the {limit} tokens that {who} may use."
    text += f" Try again in {_UNKNOWN_RETRY_S:.1f} s."
    return ServiceError("rate_limit_exceeded", text, retry_after_s=_UNKNOWN_RETRY_S)


def _wait_s(holder: Holder, kind: int, tokens: int, now_s: float) -> float:
    if kind == SLOTS:
        return _SLOT_RETRY_S
    used, elsewhere, limit = holder.in_use()[kind], holder.elsewhere[kind], holder.maxima[kind]
    amount = 1 if kind == REQUESTS else tokens
    # Others' part may become free sooner; what is ours is known exactly.
    missing = used + amount - max(0, limit - elsewhere)
    wanted = {"requests": missing} if kind == REQUESTS else {"tokens": missing}
    times = [holder.window.frees_s(now_s, **wanted) if missing > 0 else 0.0, holder.wait_s]
    return min((each for each in times if each > 0), default=_UNKNOWN_RETRY_S)
