"""What may be written: names, titles, limits, models, times."""

import re
from typing import Final

import msgspec

from libs.contracts.identity import Limits
from libs.kit.errors import ServiceError

_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_KEY_ID: Final = re.compile(r"key_[0-9a-f]{24}")
_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,199}")
_PERIODS: Final = ("", "day", "month")
_MOST_AMOUNT: Final = 10**15
_MOST_MODELS: Final = 100
_MOST_TITLE: Final = 200
_LATEST_MS: Final = 253_402_300_799_000
"""The end of the year 9999."""


def check_slug(text: str, param: str) -> None:
    """Return if `text` may name an organisation or a project.

    Raises:
        ServiceError: `invalid_value`.
    """
    if _SLUG.fullmatch(text) is None:
        rule = "must be 1 to 63 lower-case letters, digits and dashes, with no dash at its ends"
        raise ServiceError("invalid_value", f"`{param}` {rule}.", param=param)


def check_key_id(text: str) -> None:
    """Return if `text` may be the id of a key.

    Raises:
        ServiceError: `invalid_value`.
    """
    if _KEY_ID.fullmatch(text) is None:
        raise ServiceError("invalid_value", "`id` must be `key_` and 24 hex digits.", param="id")


def check_text(text: str, param: str, *, required: bool = False) -> None:
    """Return if `text` is one short line of characters that can be shown.

    Raises:
        ServiceError: `invalid_value`.
    """
    if len(text) > _MOST_TITLE or not text.isprintable():
        raise ServiceError(
            "invalid_value", f"`{param}` must be one line of at most {_MOST_TITLE} characters.", param=param
        )
    if required and not text.strip():
        raise ServiceError("invalid_value", f"`{param}` must not be empty.", param=param)


def check_limits(limits: Limits, param: str = "limits") -> None:
    """Return if the limits can be kept.

    Raises:
        ServiceError: `invalid_value`.
    """
    for name, value in msgspec.structs.asdict(limits).items():
        if name != "budget_period" and not 0 <= value <= _MOST_AMOUNT:
            text = f"`{param}.{name}` must be between 0 (no limit) and {_MOST_AMOUNT}."
            raise ServiceError("invalid_value", text, param=f"{param}.{name}")
    if limits.budget_period not in _PERIODS:
        raise ServiceError(
            "invalid_value", f"`{param}.budget_period` must be `day`, `month` or empty.", param=f"{param}.budget_period"
        )
    if limits.budget_period and not limits.budget_tokens:
        text = f"`{param}.budget_period` says nothing without `budget_tokens`."
        raise ServiceError("invalid_value", text, param=f"{param}.budget_period")


def check_models(models: tuple[str, ...]) -> None:
    """Return if each may be a model's name.

    Raises:
        ServiceError: `invalid_value`.
    """
    if len(models) > _MOST_MODELS:
        raise ServiceError("invalid_value", f"`models` may name {_MOST_MODELS} at most.", param="models")
    for model in models:
        if _MODEL.fullmatch(model) is None:
            raise ServiceError("invalid_value", f"{model[:80]!r} is no name of a model.", param="models")


def check_expiry(expires_ms: int, now_ms: int) -> None:
    """Return if a key may end then.

    Raises:
        ServiceError: `invalid_value`.
    """
    if expires_ms and not now_ms < expires_ms <= _LATEST_MS:
        text = "`expires_ms` must be a time to come, in milliseconds since 1970; 0 is never."
        raise ServiceError("invalid_value", text, param="expires_ms")
