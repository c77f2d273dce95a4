"""Check digits of numbers that name people, accounts and cards; what fails them is just a number."""

from typing import Final

_IBAN_LENGTHS: Final = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18,
    "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22,
    "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15,
    "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
_CARD_LENGTHS: Final = ((("4",), (13, 16, 19)), (("34", "37"), (15,)), (("36", "38", "39"), (14,)))
_MIDDLE_CARDS: Final = ((51, 55, 2), (2221, 2720, 4), (6011, 6011, 4), (644, 659, 3), (3528, 3589, 4))


def digits_of(text: str) -> str:
    """The ASCII digits of `text`."""
    return "".join(letter for letter in text if "0" <= letter <= "9")


def is_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_card(digits: str) -> bool:
    """Whether it is a card number: an issuer's prefix, its length, and Luhn's check digit."""
    count = len(digits)
    known = any(digits.startswith(prefixes) and count in lengths for prefixes, lengths in _CARD_LENGTHS)
    known = known or (count == 16 and any(low <= int(digits[:places]) <= high for low, high, places in _MIDDLE_CARDS))
    return known and is_luhn(digits) and len(set(digits)) > 1


def is_iban(text: str) -> bool:
    """Whether it is an IBAN: a country's length, and modulo 97 (ISO 13616)."""
    if len(text) != _IBAN_LENGTHS.get(text[:2]) or not text[2:4].isdigit():
        return False
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def is_german_tax_id(digits: str) -> bool:
    """Whether it is a Steuer-Identifikationsnummer: one digit twice or thrice, and modulo 11,10 (ISO 7064)."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    counts = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    if counts[-1] not in (2, 3) or counts[-2] != 1:
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_german_pension_number(text: str) -> bool:
    """Whether it is a Rentenversicherungsnummer: area, birthday, letter, serial, check digit."""
    if len(text) != 12 or not text[8].isalpha() or not (1 <= int(text[2:4]) % 50 <= 31 and 1 <= int(text[4:6]) <= 12):
        return False
    numbers = text[:8] + f"{ord(text[8]) - ord('A') + 1:02d}" + text[9:11]
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(numbers, weights, strict=True))
    return total % 10 == int(text[11])


def is_german_card_id(text: str) -> bool:
    """Whether it is the number of a German identity card with its check digit: weights 7, 3, 1."""
    if len(text) != 10 or not text[9].isdigit() or not any(letter.isalpha() for letter in text[:9]):
        return False
    total = sum(int(letter, 36) * (7, 3, 1)[place % 3] for place, letter in enumerate(text[:9]))
    return total % 10 == int(text[9])


def is_us_routing_number(digits: str) -> bool:
    """Whether it is an ABA routing number: weights 3, 7, 1, and a Federal Reserve district."""
    if len(digits) != 9 or not (0 < int(digits[:2]) <= 12 or 21 <= int(digits[:2]) <= 32):
        return False
    return sum(int(digit) * (3, 7, 1)[place % 3] for place, digit in enumerate(digits)) % 10 == 0


def is_us_social_security_number(digits: str) -> bool:
    """Whether it can be a social security number, which has no check digit but areas never given out."""
    return digits[:3] not in ("000", "666") and digits[0] != "9" and digits[3:5] != "00" and digits[5:] != "0000"


def is_us_provider_id(digits: str) -> bool:
    """Whether it is a national provider identifier: Luhn over the prefix 80840."""
    return len(digits) == 10 and digits[0] in "12" and is_luhn("80840" + digits)
