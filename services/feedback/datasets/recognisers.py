"""Finds personal data and secrets in text: a pattern proposes, a checksum or parser decides where one exists.

Names, postal addresses and dates of birth are out of scope: no rule tells them from other words reliably.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import phonenumbers

from services.feedback.datasets import checksums
from services.feedback.datasets.checksums import digits_of

_REGIONS: Final = ("DE", "US", "GB", "FR")
"""Whose national way of writing phone numbers is understood; numbers with a country code of any country are."""


_MOST_GROUPS_CUT: Final = 2
_FEW_COLONS: Final = 2


class Found(NamedTuple):
    """One recognised piece of a text."""

    start: int
    end: int
    kind: str
    value: str
    """In one form, however it was written, so that the same thing gets the same placeholder."""


@dataclass(frozen=True)
class Recogniser:
    """Proposes by `pattern` where `hint` occurs at all; `check` gives the value, or None for a false alarm."""

    kind: str
    hint: Callable[[str], bool]
    pattern: re.Pattern[str]
    check: Callable[[str], str | None]


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
    return sorted(found)


def _matches(recogniser: Recogniser, text: str) -> Iterator[Found]:
    for match in recogniser.pattern.finditer(text):
        name = "it" if "it" in recogniser.pattern.groupindex else 0
        start, text_found = match.start(name), match[name]
        for end in _ends(text_found):
            value = recogniser.check(text_found[:end])
            if value is not None:
                yield Found(start, start + end, recogniser.kind, value)
                break


def _ends(text: str) -> Iterator[int]:
    """Where a candidate may end: as it was found, or before its last groups, which may be other words or numbers."""
    end = len(text)
    for _ in range(_MOST_GROUPS_CUT + 1):
        yield end
        end = max(text.rfind(mark, 0, end) for mark in " -")
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
    return None if address.is_unspecified or address.is_loopback else str(address)


def _ipv6(text: str) -> str | None:
    # `std::dec` and `a::b` are addresses to a parser and code to a reader.
    is_address = text.count(":") > _FEW_COLONS or any(letter.isdigit() for letter in text.split("::", maxsplit=1)[0])
    return _ip(text) if is_address else None


def _phone(text: str) -> str | None:
    number = "+" + text[2:] if text.startswith("00") else text
    for region in (None,) if number.startswith("+") else _REGIONS:
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed) and (region is None or _written_as_phone(text, region)):
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None


def _written_as_phone(text: str, region: str) -> bool:
    """Whether digits without a country code look like a phone number rather than like any other number."""
    if region == "US":
        return re.fullmatch(r"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. ])[2-9]\d\d[-. ]\d{4}", text) is not None
    return text.startswith(("0", "(0")) and any(mark in text for mark in " -/.()")


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
_IPV4: Final = r"(?<![\w.])(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){3}(?![\w]|\.\d)"
_IPV6: Final = (
    r"(?<![\w:.])(?=[0-9A-Fa-f:.]*[0-9])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?:(?:\.\d{1,3}){3})?(?![\w:])"
)
_PHONE: Final = r"(?<![\w+.,/-])(?:\+|00|(?:\((?=\d{1,5}\)))?[0-9])[0-9](?:[ ./()-]{0,2}[0-9]){6,13}(?![\w]|[.,-]\d)"

_URL: Final = (
    r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/@:]*:[^\s/@]+@[^\s\"'<>()\u2018-\u201f\u00ab\u00bb]*"
    r"[^\s\"'<>()\u2018-\u201f\u00ab\u00bb.,;:!?]"
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
        _re(r"(?<![\w.+%-])[\w.+%'-]{1,64}@(?:[\w](?:[\w-]{0,61}[\w])?\.){1,8}[^\W\d_]{2,24}(?![\w-])"),
        _lower,
    ),
    Recogniser("iban", _digits(8), _re(_IBAN), _iban),
    Recogniser("card", _digits(13), _re(_CARD), _card),
    Recogniser("ip", _digits(4), _re(_IPV4), _ip),
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
    Recogniser("phone", _digits(7), _re(_PHONE), _phone),
)
"""In the order of their certainty."""
