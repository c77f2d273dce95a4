"""Which selections of a data set can be built at all; said at once, not after a million rows."""

import math
from collections.abc import Mapping

from libs.contracts.datasets import Selection
from libs.contracts.versions import NAME
from libs.kit.errors import ServiceError

_MOST_NAMES = 1_000
_MOST_SPLITS = 16


def check_selection(selection: Selection) -> None:
    """Accept a selection.

    Raises:
        ServiceError: `invalid_value` or `missing_field`, naming the field.
    """
    if NAME.fullmatch(selection.name) is None:
        raise _bad("name", "must be lower-case letters, digits, `.`, `_`, `-`; at most 64")
    if not selection.tenant:
        raise ServiceError("missing_field", "Say whose rows: `tenant` is empty.", param="tenant")
    if selection.since_ms < 0 or selection.until_ms < 0:
        raise _bad("since_ms", "and until_ms must not be negative")
    if selection.until_ms and selection.until_ms <= selection.since_ms:
        raise _bad("until_ms", "must be later than since_ms")
    for name in ("model_versions", "tags", "raters"):
        if len(getattr(selection, name)) > _MOST_NAMES:
            raise _bad(name, f"must not have more than {_MOST_NAMES} entries")
    _check_numbers(selection)
    _check_splits(selection.splits)


def _check_numbers(selection: Selection) -> None:
    rules = selection.quarantine
    shares = {
        "min_score": selection.min_score,
        "near_duplicates": selection.near_duplicates,
        "quarantine.max_rater_share": rules.max_rater_share,
        "quarantine.similarity": rules.similarity,
    }
    for name, share in shares.items():
        if not 0 <= share <= 1 or math.isnan(share):
            raise _bad(name, "must be from 0 to 1")
    if rules.max_rater_share == 0:
        raise _bad("quarantine.max_rater_share", "must be more than 0")
    if not 0 <= selection.min_answer_chars <= selection.max_answer_chars:
        raise _bad("min_answer_chars", "must be at least 0 and at most max_answer_chars")
    for name, number, least in (
        ("min_raters_for_share", rules.min_raters_for_share, 0),
        ("max_rater_rows", rules.max_rater_rows, 0),
        ("max_burst_per_min", rules.max_burst_per_min, 1),
    ):
        if number < least:
            raise _bad(f"quarantine.{name}", f"must be at least {least}")


def _check_splits(splits: Mapping[str, float]) -> None:
    """Names that can be file names, and positive shares that add up to 1."""
    if not 0 < len(splits) <= _MOST_SPLITS:
        raise ServiceError("invalid_value", f"Give 1 to {_MOST_SPLITS} splits.", param="splits")
    for name, share in splits.items():
        if not (name.isascii() and name.isidentifier() and name.islower() and len(name) <= 32):
            text = f"The split `{name[:40]}` needs a name of at most 32 lower-case letters, digits and `_`."
            raise ServiceError("invalid_value", text, param="splits")
        if not 0 < share <= 1:
            raise ServiceError("invalid_value", f"The share of {name} must be more than 0, at most 1.", param="splits")
    if abs(sum(splits.values()) - 1) > 1e-6:
        raise ServiceError("invalid_value", "The shares of the splits must add up to 1.", param="splits")


def _bad(field: str, what: str) -> ServiceError:
    return ServiceError("invalid_value", f"`{field}` {what}.", param=field)
