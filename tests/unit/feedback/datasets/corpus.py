"""Sentences made from a seed, with personal data in known places and numbers that only look like it."""

import random
from collections.abc import Iterator
from typing import NamedTuple

import phonenumbers

from services.feedback.datasets import checksums


class Sentence(NamedTuple):
    """A text, and the pieces of it that are to be found: kind and the very characters."""

    text: str
    pieces: tuple[tuple[str, str], ...]


_CARRIERS = (
    "Please use {} from now on.",
    "Contact: {}",
    "My old one was {}, and it still works",
    "({}) is what I typed.",
    "Könnten Sie {} prüfen?",
    "1. first\n2. {}\n3. third",
    "see {}; thanks",
    "“{}”",
)
_HARMLESS = (
    "Version 2.14.0 came out on 2026-11-22 at 06:30:15.",
    "It costs 1,234,567.89 euros or 12.500,00.",
    "pi is 3.14159265358979323846",
    "Order 20261122000451 has 3 items, 4 of 5 delivered.",
    "for (int i = 0; i < 100000; ++i) std::vector<int>::at(i);",
    "The range is 1990-2026, pages 100-200.",
    "commit 4f2a9c1e77aab0d9 fixes issue #123456",
    "Use ratio 16:9 and size 1920x1080.",
    "a @ b is matrix multiplication, @property a decorator",
    "https://example.org/path?x=1&y=2 has no password",
    "The task-based skeleton, risk-free: sk-et",
    "10000000 rows in 250000 ms, id 00000000",
    "Einstein 1905, Planck 1900, Bohr 1913, Dirac 1928",
    "SHA-256 of it: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "namespace a::b { using c::d; }",
    "x = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]",
    "The chip has 5 000 000 000 transistors.",
    "Room 123-456, building 7-8-9.",
)


def corpus(count: int, seed: int = 5) -> Iterator[Sentence]:
    """`count` sentences, two in three with something to find."""
    chance = random.Random(seed)
    makers = (_email, _phone, _iban, _card, _ip, _url, _key, _tax_id, _ssn)
    for number in range(count):
        if number % 3 == 2:
            yield Sentence(f"{chance.choice(_HARMLESS)} {_wrong(chance)}", ())
            continue
        kind, piece = chance.choice(makers)(chance)
        yield Sentence(chance.choice(_CARRIERS).format(piece), ((kind, piece),))


def _letters(chance: random.Random, count: int, alphabet: str = "abcdefghijklmnopqrstuvwxyz") -> str:
    return "".join(chance.choices(alphabet, k=count))


def _digits(chance: random.Random, count: int) -> str:
    return _letters(chance, count, "0123456789")


def _email(chance: random.Random) -> tuple[str, str]:
    name = chance.choice(("", f"{_letters(chance, 4)}.", f"{_letters(chance, 3)}+")) + _letters(chance, 6)
    return "email", f"{name}@{_letters(chance, 7)}.{chance.choice(('org', 'co.uk', 'de', 'museum'))}"


def _phone(chance: random.Random) -> tuple[str, str]:
    region = chance.choice(("DE", "US", "FR", "GB", "JP", "BR"))
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.FIXED_LINE)
    assert number is not None
    style = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    if region in ("DE", "US") and chance.random() < 0.5:
        style = phonenumbers.PhoneNumberFormat.NATIONAL
    elif chance.random() < 0.3:
        style = phonenumbers.PhoneNumberFormat.E164
    return "phone", str(phonenumbers.format_number(number, style))


def _iban(chance: random.Random) -> tuple[str, str]:
    country, length = chance.choice((("DE", 18), ("FR", 23), ("NL", 14), ("ES", 20)))
    body = _letters(chance, 4, "ABCDEFGH") + _digits(chance, length - 4) if country == "NL" else _digits(chance, length)
    plain = "".join(str(int(letter, 36)) for letter in f"{body}{country}00")
    whole = f"{country}{98 - int(plain) % 97:02d}{body}"
    return "iban", " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if chance.random() < 0.5 else whole


def _luhn(chance: random.Random, prefix: str, length: int) -> str:
    body = prefix + _digits(chance, length - 1 - len(prefix))
    return next(body + last for last in "0123456789" if checksums.is_luhn(body + last))


def _card(chance: random.Random) -> tuple[str, str]:
    number = _luhn(chance, *chance.choice((("4", 16), ("51", 16), ("37", 15), ("6011", 16))))
    mark = chance.choice(("", " ", "-"))
    return "card", mark.join(number[at : at + 4] for at in range(0, len(number), 4))


def _ip(chance: random.Random) -> tuple[str, str]:
    if chance.random() < 0.5:
        return "ip", ".".join(str(chance.randrange(1, 255)) for _ in range(4))
    return "ip", f"2001:db8:{chance.randrange(1, 9999)}::{_letters(chance, 3, 'abcdef')}{chance.randrange(10)}"


def _url(chance: random.Random) -> tuple[str, str]:
    return "url", f"https://{_letters(chance, 5)}:{_letters(chance, 9)}@{_letters(chance, 6)}.org/db?x=1"


def _key(chance: random.Random) -> tuple[str, str]:
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    prefix, length = chance.choice((("sk-", 32), ("ghp_", 36), ("hf_", 34), ("sk-proj-", 40)))
    return "key", prefix + _letters(chance, length, alphabet)


def _tax_id(chance: random.Random) -> tuple[str, str]:
    while True:
        digits = _digits(chance, 11)
        if checksums.is_german_tax_id(digits):
            return "id", digits


def _ssn(chance: random.Random) -> tuple[str, str]:
    return (
        "id",
        f"{chance.randrange(1, 600):03d}-{chance.randrange(1, 99):02d}-{chance.randrange(1, 9999):04d}".replace(
            "666-", "665-"
        ),
    )


def _wrong(chance: random.Random) -> str:
    """Numbers in the form of a card or an IBAN whose check digits are wrong."""
    card = _luhn(chance, "4", 16)
    bad = card[:-1] + str((int(card[-1]) + 1 + chance.randrange(8)) % 10)
    iban = _iban(chance)[1].replace(" ", "")
    wrong = iban[:2] + f"{(int(iban[2:4]) + 1) % 97:02d}" + iban[4:]
    return chance.choice((bad, wrong, "DE00 1234", f"No. {_digits(chance, 6)}"))
