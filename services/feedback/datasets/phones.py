"""Phone numbers as people write them."""

import re
from typing import Final

import phonenumbers

from services.feedback.datasets.checksums import digits_of

_REGIONS: Final = ("DE", "US", "GB", "FR")
"""Whose national way of writing phone numbers is understood; numbers with a country code of any country are."""

_BETWEEN_DIGITS: Final = r"(?:[ ./()\u00a0\u2011\u2013-]{0,2}| [/\u2013-] )"
"""Also a no-break space, a no-break hyphen and a dash, as word processors put them."""
WRITTEN: Final = (
    r"(?<![\w+.,/-])(?:\+ ?|00|\((?=\d{1,5}\)))?"
    rf"[0-9](?:{_BETWEEN_DIGITS}[0-9]){{6,14}}(?![\w]|[.,-]\d)"
)
"""Digits that may be a number by themselves."""
NAMED: Final = (
    r"(?i)\b(?:(?:tele)?(?:phone|fon|fax)|t[eé]l|t[eé]l[eé]phone|mobile?|handy|cell|rufnummer|whatsapp|hotline"
    r"|toll.free|call|dial|reach (?:me|us))"
    r"(?:nummer)?(?:\W{1,3}(?:numbers?|no|nr|us|me|him|her|at|on|is|au|under|unter|der|the|our|or|free|toll))*\W{1,4}?"
    rf"(?P<it>(?:\+ ?|\()?\d(?:{_BETWEEN_DIGITS}\d){{6,14}})(?!\w|[.,-]\d)"
)
"""Digits after a word that says what they are."""
_NATIONAL: Final = {
    "US": re.compile(
        r"(?:1[-. ])?(?:\([2-9]\d\d\)[- ]?[2-9]\d\d[-. ]|[2-9]\d\d(?:-[2-9]\d\d-|\.[2-9]\d\d\.| [2-9]\d\d[- ]))\d{4}"
    ),
    "FR": re.compile(r"0\d([ .-])\d\d(?:\1\d\d){3}"),
}
_AREA_FIRST: Final = re.compile(r"(?:\(0\d{2,}\)|0\d{2,}[ ./()\u00a0\u2011\u2013-])[\d ./()\u00a0\u2011\u2013-]+")
"""Area codes have three digits at least, with the zero: bytes and days have two."""
_DATE: Final = re.compile(r"\d{1,2}([./-])\d{1,2}\1(?:\d{2}|\d{4})|\d{4}([./-])\d{1,2}\2\d{1,2}")


def number_of(text: str) -> str | None:
    """The number in one form, if the digits look like one by themselves."""
    number = "+" + text[2:] if text.startswith("00") else text
    for region in (None,) if number.startswith("+") else _REGIONS:
        if region is not None and not _written_as_phone(text, region):
            continue
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        # A plus says what it is; other digits must be a number that can be given out.
        is_one = phonenumbers.is_possible_number if text.startswith("+") else phonenumbers.is_valid_number
        if is_one(parsed):
            return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return None


def named_number_of(text: str) -> str | None:
    """What is called a phone number is one, even of a region whose way of writing is not understood."""
    return None if _DATE.fullmatch(text) else (number_of(text) or digits_of(text))


def _written_as_phone(text: str, region: str) -> bool:
    """Whether digits without a country code look like a phone number rather than like a date or any other number."""
    shape = _NATIONAL.get(region, _AREA_FIRST)
    return shape.fullmatch(text) is not None and _DATE.fullmatch(text) is None
