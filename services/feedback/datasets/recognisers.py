"""Finds personal data and secrets in text: a pattern proposes, a checksum or parser decides where one exists.

Names, postal addresses and dates of birth are out of scope: no rule tells them from other words reliably.
"""

import ipaddress
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from services.feedback.datasets import checksums, phones
from services.feedback.datasets.checksums import digits_of

NOTHING: Final = "nothing"
"""The kind of what looks personal and is not; it is kept from other recognisers and not told."""
_MOST_GROUPS_CUT: Final = 4
_FEW_COLONS: Final = 2
_BEFORE: Final = 40
"""Letters before a candidate that are looked at."""


class Found(NamedTuple):
    """One recognised piece of a text."""

    start: int
    end: int
    kind: str
    value: str
    """In one form, however it was written, so that the same thing gets the same placeholder."""


@dataclass(frozen=True)
class Recogniser:
    """Proposes by `pattern` where `hint` occurs at all; `check` gives the value, or None for a false alarm.

    What stands right before it may say that it is something else: then `unless_after` matches there, up to its end.
    """

    kind: str
    hint: Callable[[str], bool]
    pattern: re.Pattern[str]
    check: Callable[[str], str | None]
    unless_after: re.Pattern[str] | None = None


def find(text: str) -> list[Found]:
    """What is in `text`, left to right, without overlaps; of two that overlap the one whose recogniser comes first."""
    found: list[Found] = []
    if _WORTHWHILE.search(text) is None:
        return found
    taken = bytearray(len(text))
    for recogniser in RECOGNISERS:
        for one in _matches(recogniser, text) if recogniser.hint(text) else ():
            if taken.find(1, one.start, one.end) < 0:
                taken[one.start : one.end] = b"\1" * (one.end - one.start)
                found.append(one)
    return sorted(one for one in found if one.kind != NOTHING)


def _matches(recogniser: Recogniser, text: str) -> Iterator[Found]:
    name = "it" if "it" in recogniser.pattern.groupindex else 0
    unless, at = recogniser.unless_after, 0
    while (match := recogniser.pattern.search(text, at)) is not None:
        start, at = match.start(name), match.end()
        if unless is not None and unless.search(text[max(0, start - _BEFORE) : start]) is not None:
            continue
        for begin, end in itertools.product(_begins(match[name]), _ends(match[name])):
            value = recogniser.check(match[name][begin:end])
            if value is not None:
                yield Found(start + begin, start + end, recogniser.kind, value)
                # Another may begin where this one ends before the candidate does.
                at = start + end
                break


def _begins(text: str) -> tuple[int, ...]:
    """Where a candidate may begin: as it was found, or after its first group, which may be another number."""
    space = text.find(" ")
    return (0, space + 1) if space >= 0 else (0,)


def _ends(text: str) -> Iterator[int]:
    """Where a candidate may end: as it was found, or before its last groups, which may be other words or numbers."""
    end = len(text)
    for _ in range(_MOST_GROUPS_CUT + 1):
        yield end
        end = len(text[: max(text.rfind(mark, 0, end) for mark in " -\u2013")].rstrip(" /-\u2013"))
        if end <= 0:
            return


def _has(*words: str) -> Callable[[str], bool]:
    return lambda text: any(word in text for word in words)


def _digits(at_least: int) -> Callable[[str], bool]:
    pattern = re.compile(rf"[0-9](?:[^0-9]*[0-9]){{{at_least - 1}}}")
    return lambda text: pattern.search(text) is not None


def _same(text: str) -> str:
    return text


def _lower(text: str) -> str:
    return text.lower()


def _iban(text: str) -> str | None:
    value = re.sub(r"[ -]", "", text).upper()
    return value if checksums.is_iban(value) else None


def _card(text: str) -> str | None:
    digits = digits_of(text)
    return digits if checksums.is_card(digits) else None


def _ip(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    is_mask = address.version == 4 and str(address).startswith("255.")
    return None if address.is_unspecified or address.is_loopback or is_mask else str(address)


def _ipv6(text: str) -> str | None:
    # `std::dec`, `a::b` and a number before an example (`2::`) are addresses to a parser and other things to a reader.
    is_address = text.count(":") > _FEW_COLONS or _SHORT_IPV6.fullmatch(text) is not None
    return _ip(text) if is_address else None


def _checked(test: Callable[[str], bool]) -> Callable[[str], str | None]:
    def check(text: str) -> str | None:
        value = re.sub(r"[\s./-]", "", text).upper()
        return value if test(value) else None

    return check


def _re(pattern: str, flags: int = 0) -> re.Pattern[str]:
    return re.compile(pattern, flags)


_KEYS: Final = (
    r"(?<![A-Za-z0-9])(?:sk-[A-Za-z0-9_-]{16,}|gh[oprsu]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}"
    r"|glpat-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|AIza[A-Za-z0-9_-]{35}|xox[abeprs]-[A-Za-z0-9-]{10,}"
    r"|hf_[A-Za-z0-9]{30,}|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{10,})"
)
_KEY_HINTS: Final = ("sk-", "gh", "glpat-", "AKIA", "AIza", "xox", "hf_", "eyJ")
_CARD: Final = r"(?<![\w+.-])[2-6](?:[ -]?[0-9]){12,18}(?![\w-])"
_IPV4: Final = (
    r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}"
    r"(?![\w]|\.(?:\d|post|dev|rc)|-[A-Za-z])"
)
_IPV6: Final = (
    r"(?<![\w:.])(?=[0-9A-Fa-f:.]*[0-9])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?![\w:])"
)
_POSTAL_CODE: Final = r"\b[A-Z]{2}[.,]?\s+\d{5}-\d{4}(?!\d)"

_SHORT_IPV6: Final = _re(r"(?=[^:]*\d)[0-9A-Fa-f]{4}::[0-9A-Fa-f]{1,4}")
_VERSION_BEFORE: Final = _re(
    r"(?i)(?:[<>~]=\s*|[\w\]]==|\brfc\W?\d+\W{1,2}|\b(?:v|versions?|releases?|gcc|oids?|sections?|chapter)\W{0,3}(?:(?:is|to|from|number)\W)?"
    r"|\b(?:upgrad|patch|roll|bump)\w*\W+(?:[\w.]+\W+){0,3})$"
)
_BYTES_BEFORE: Final = _re(r"(?:\b[0-9A-Fa-f]{2} ){2}$|[Bb]uffer $")

_URL: Final = (
    r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/@:?#]*:[^\s/@?#]+@[^\s\"'`<>()\u2018-\u201f\u00ab\u00bb]*"
    r"[^\s\"'`<>()\u2018-\u201f\u00ab\u00bb.,;:!?]"
)
_IBAN: Final = (
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?(?![A-Za-z0-9])"
)
_PENSION: Final = r"(?<![\w+-])\d{2} ?\d{6} ?[A-Z] ?\d{3}(?!\w)"
_TAX: Final = r"(?<![\w+-])[1-9]\d ?\d{3} ?\d{3} ?\d{3}(?!\w|[ -]?\d)"
_WORTHWHILE: Final = re.compile(
    r"[0-9@]|://|sk-|xox|gh[oprsu]_|hf_|glpat-|AKIA|AIza|eyJ|PRIVATE KEY|[Bb]earer|:[0-9A-Fa-f]{0,4}:"
)

RECOGNISERS: Final = (
    Recogniser(NOTHING, _digits(9), _re(_POSTAL_CODE), _same),
    Recogniser(
        "key",
        _has("PRIVATE KEY"),
        _re(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
        _same,
    ),
    Recogniser("key", _has(*_KEY_HINTS), _re(_KEYS), _same),
    Recogniser("key", _has("earer "), _re(r"\b[Bb]earer (?P<it>[A-Za-z0-9._~+/-]{20,}=*)"), _same),
    Recogniser("url", _has("://"), _re(_URL), _same),
    Recogniser(
        "email",
        _has("@"),
        _re(r"(?<![\w.+%-])[\w.+%-][\w.+%'-]{0,63}@(?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
        _lower,
    ),
    Recogniser("iban", _digits(8), _re(_IBAN), _iban),
    Recogniser("card", _digits(13), _re(_CARD), _card),
    Recogniser("ip", _digits(4), _re(_IPV4), _ip, _VERSION_BEFORE),
    Recogniser("ip", _has(":"), _re(_IPV6), _ipv6),
    Recogniser("id", _digits(11), _re(_PENSION), _checked(checksums.is_german_pension_number)),
    Recogniser("id", _digits(11), _re(_TAX), _checked(checksums.is_german_tax_id)),
    Recogniser(
        "id",
        _digits(2),
        _re(r"(?<![\w-])[CFGHJKLMNPRTVWXYZ][CFGHJKLMNPRTVWXYZ0-9]{8}\d(?![\w-])"),
        _checked(checksums.is_german_card_id),
    ),
    Recogniser(
        "id",
        _digits(9),
        _re(r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])"),
        _checked(checksums.is_us_social_security_number),
    ),
    Recogniser(
        "id",
        _digits(9),
        _re(r"(?i)\b(?:routing|aba|rtn)\b[^\n\d]{0,24}(?P<it>\d{9})(?!\d)"),
        _checked(checksums.is_us_routing_number),
    ),
    Recogniser(
        "id",
        _digits(10),
        _re(r"(?i)\bnpi\b[^\n\d]{0,24}(?P<it>\d{10})(?!\d)"),
        _checked(checksums.is_us_provider_id),
    ),
    Recogniser("phone", _digits(7), _re(phones.WRITTEN), phones.number_of, _BYTES_BEFORE),
    Recogniser("phone", _digits(7), _re(phones.NAMED), phones.named_number_of),
)
"""In the order of their certainty."""
