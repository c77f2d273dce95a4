"""Redaction: how much it finds, how little it takes by mistake, and what its placeholders promise."""

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feedback.datasets import checksums
from services.feedback.datasets.recognisers import find
from services.feedback.datasets.redact import Redactor
from tests.unit.feedback.datasets.corpus import corpus

LEAST = 0.98
"""Recall and precision of every kind, on text made up by the rules that the recognisers know."""


def test_recall_and_precision_of_every_kind() -> None:
    wanted: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for sentence in corpus(5_400):
        found = Counter((one.kind, sentence.text[one.start : one.end]) for one in find(sentence.text))
        expected = Counter(sentence.pieces)
        wanted.update(kind for kind, _ in expected.elements())
        said.update(kind for kind, _ in found.elements())
        hit.update(kind for kind, _ in (found & expected).elements())
    assert set(wanted) == {"email", "phone", "iban", "card", "ip", "url", "key", "id"}
    figures = {kind: (hit[kind] / wanted[kind], hit[kind] / said[kind]) for kind in wanted}
    assert all(min(pair) >= LEAST for pair in figures.values()), figures


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("a.b@example.com, A.B@example.com", "<email-1>, <email-1>"),
        ("+49 30 123456 or 0049 30 123456", "<phone-1> or <phone-1>"),
        ("(415) 555-2671 and 030/1234567", "<phone-1> and <phone-2>"),
        ("ES91 2100 0418 4502 0005 1332 then pay", "<iban-1> then pay"),
        ("DE89370400440532013000", "<iban-1>"),
        ("DE88370400440532013000", "DE88370400440532013000"),
        ("4111 1111 1111 1111 12 times", "<card-1> 12 times"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("from 10.1.2.3 to 2001:db8::1", "from <ip-1> to <ip-2>"),
        ("127.0.0.1 and ::1 are at home", "127.0.0.1 and ::1 are at home"),
        ("postgres://me:secret@db.example/x, ok", "<url-1>, ok"),
        ("sk-abcdefghijklmnop1234 twice sk-abcdefghijklmnop1234", "<key-1> twice <key-1>"),
        ("Authorization: Bearer abcdefghijklmnopqrst0123", "Authorization: Bearer <key-1>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "<key-1>"),
        ("tax 86095742719, pension 15070649C103, card T220001293", "tax <id-1>, pension <id-2>, card <id-3>"),
        ("ssn 123-45-6789 but not 000-45-6789", "ssn <id-1> but not 000-45-6789"),
        ("routing number 021000021, NPI 1234567893", "routing number <id-1>, NPI <id-2>"),
        ("021000021 and 1234567893 alone are numbers", "021000021 and 1234567893 alone are numbers"),
        ("Boston, MA  02110-1301, USA, or call 212-371-1000", "Boston, MA  02110-1301, USA, or call <phone-1>"),
        ("New York, NY 10022 212-371-1000 or 1-800-995-8212.", "New York, NY 10022 <phone-1> or <phone-2>."),
        ("Tel: 01558547000, Rufnummer 050505-26105", "Tel: <phone-1>, Rufnummer <phone-2>"),
        (
            "call us toll-free at 1800-116-117; call us at least 24 hours",
            "call us toll-free at <phone-1>; call us at least 24 hours",
        ),
        ("Telefon: + 49 711 \u2013 629 00 \u2013 0", "Telefon: <phone-1>"),
        ("+49 (0)2408 / 9492-0 and 0361 / 644 789 14", "<phone-1> and <phone-2>"),
        ("au 06 20 35 76 67 / 07 81 35 09 09.", "au <phone-1> / <phone-2>."),
        ("until 04.01.2018, 04/01/2018 or 2018-01-04", "until 04.01.2018, 04/01/2018 or 2018-01-04"),
        ("clause 252.227-7013; <Buffer 08 07 06 05>", "clause 252.227-7013; <Buffer 08 07 06 05>"),
        ("version 4.2.77.18, >=4.10.0.0, OID 1.3.101.110", "version 4.2.77.18, >=4.10.0.0, OID 1.3.101.110"),
        (
            "upgrade it to 4.2.77.18, but point the name to 10.2.3.4",
            "upgrade it to 4.2.77.18, but point the name to <ip-1>",
        ),
        ("host=10.0.0.5 ip == 10.0.0.6 1.3.0.1-rc", "host=<ip-1> ip == <ip-2> 1.3.0.1-rc"),
        ("mask 255.255.255.0; Python 2:: and fe80::1", "mask 255.255.255.0; Python 2:: and <ip-1>"),
        ("http://a:9000?email=me@example.com or 'me@example.com'", "http://a:9000?email=<email-1> or '<email-1>'"),
        ("{{ 7*7 }} '; drop table users; -- ${x}", "{{ 7*7 }} '; drop table users; -- ${x}"),
    ],
)
def test_redaction_by_example(text: str, redacted: str) -> None:
    assert Redactor().redact(text) == redacted


def test_one_thing_has_one_placeholder_in_all_texts_of_an_episode() -> None:
    redactor = Redactor()
    assert redactor.redact("write to ann@example.org") == "write to <email-1>"
    assert redactor.redact("bob@example.org or ann@example.org?") == "<email-2> or <email-1>?"
    assert redactor.replaced == {"email": 3}


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_what_is_redacted_holds_nothing_more_to_redact_and_no_text_breaks_it(text: str) -> None:
    once = Redactor().redact(text)
    found = find(text)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= after.start for one, after in itertools.pairwise(found))
    if not found:
        assert once == text


@given(st.text(alphabet="0123456789 -.:/()+@abc", max_size=200))
def test_text_outside_the_pieces_stays_as_it_is(text: str) -> None:
    redacted, at = Redactor().redact(text), 0
    for one in find(text):
        assert text[at : one.start] in redacted
        at = one.end
    assert redacted.endswith(text[at:])


@pytest.mark.parametrize(
    "piece", ["1 ", "a@", "://", "1:", "+1-", "sk-", "Bearer ", "-----BEGIN PRIVATE KEY", "1.1.", "a@b.org "]
)
def test_a_megabyte_of_false_beginnings_comes_to_an_end(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert "ann@example.org" not in Redactor().redact(f"{text} ann@example.org")


@given(st.integers(0, 10**9 - 1), st.integers(0, 8))
def test_one_wrong_digit_is_noticed(body: int, place: int) -> None:
    digits = f"4{body:09d}" + "00000"
    card = next(digits + last for last in "0123456789" if checksums.is_luhn(digits + last))
    wrong = card[: place + 1] + str((int(card[place + 1]) + 1) % 10) + card[place + 2 :]
    assert checksums.is_luhn(card)
    assert not checksums.is_luhn(wrong)
