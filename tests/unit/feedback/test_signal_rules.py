"""What a signal must be; every bad input is a typed error with the field at fault."""

import math
from typing import Any

import msgspec
import pytest

from libs.contracts.feedback import MAX_COMMENT_BYTES, RecordSignal, SignalKind, Source
from libs.kit.errors import ServiceError
from libs.kit.signals import WEIGHTS, checked, request_id_of, signal_id

NOW_MS = 1_800_000_000_000
REQUEST = "0123456789abcdef01234567"


def signal(**more: Any) -> RecordSignal:
    fields: dict[str, Any] = {
        "id": "sig_" + "0" * 24,
        "tenant": "t",
        "kind": SignalKind.THUMB,
        "value": True,
        "time_ms": NOW_MS,
        "inference_id": f"chatcmpl-{REQUEST}",
        "rater": "ann",
    }
    return RecordSignal(**{**fields, **more})


@pytest.mark.parametrize("prefix", ["chatcmpl-", "cmpl-", "resp_", "msg_", ""])
def test_every_id_that_a_client_gets_names_its_request(prefix: str) -> None:
    assert request_id_of(prefix + REQUEST) == REQUEST


@pytest.mark.parametrize(
    "bad",
    ["", "x", "chatcmpl-", REQUEST[:-1], REQUEST + "0", REQUEST.upper(), f"foo-{REQUEST}", f"{REQUEST}\n",
     "'; drop table signals; --", "{{7*7}}", "../" + REQUEST, REQUEST[:-1] + "\0", "\u0660" * 24],
)  # fmt: skip
def test_anything_else_is_refused(bad: str) -> None:
    with pytest.raises(ServiceError) as caught:
        request_id_of(bad)
    assert caught.value.code == "invalid_value"


COMMENT, SCORE, DEMONSTRATION = SignalKind.COMMENT, SignalKind.SCORE, SignalKind.DEMONSTRATION


@pytest.mark.parametrize(
    ("more", "code", "param"),
    [
        ({"id": "x"}, "invalid_value", "id"),
        ({"tenant": ""}, "missing_field", "tenant"),
        ({"tenant": "a\0"}, "invalid_value", "tenant"),
        ({"inference_id": ""}, "missing_field", "inference_id"),
        ({"episode_id": "e"}, "invalid_value", "inference_id"),
        ({"inference_id": "nonsense"}, "invalid_value", "inference_id"),
        ({"inference_id": "", "episode_id": "e\n"}, "invalid_value", "episode_id"),
        ({"inference_id": "", "episode_id": "e" * 129}, "invalid_value", "episode_id"),
        ({"value": 1.0}, "invalid_value", "value"),
        ({"value": "true"}, "invalid_value", "value"),
        ({"kind": SCORE, "value": True}, "invalid_value", "value"),
        ({"kind": SCORE, "value": 1.01}, "invalid_value", "value"),
        ({"kind": SCORE, "value": -0.01}, "invalid_value", "value"),
        ({"kind": SCORE, "value": math.nan}, "invalid_value", "value"),
        ({"kind": SCORE, "value": math.inf}, "invalid_value", "value"),
        ({"kind": SCORE, "value": "0.5"}, "invalid_value", "value"),
        ({"kind": COMMENT, "value": 1.0}, "invalid_value", "value"),
        ({"kind": COMMENT, "value": " \n"}, "invalid_value", "value"),
        ({"kind": COMMENT, "value": "\0\x07"}, "invalid_value", "value"),
        ({"kind": COMMENT, "value": "\ud800"}, "invalid_value", "value"),
        ({"kind": COMMENT, "value": "x" * MAX_COMMENT_BYTES}, "request_too_large", "value"),
        ({"kind": COMMENT, "value": "\n" * 400_000 + "x" * 300_000}, "request_too_large", "value"),
        ({"kind": DEMONSTRATION, "value": "x", "inference_id": "", "episode_id": "e"}, "invalid_value", "inference_id"),
        ({"rater": "x" * 129}, "invalid_value", "rater"),
        ({"rater": "a\x1bb"}, "invalid_value", "rater"),
        ({"rater": "\udfff"}, "invalid_value", "rater"),
        ({"tags": ("",)}, "missing_field", "tags"),
        ({"tags": ("a\tb",)}, "invalid_value", "tags"),
        ({"tags": ("x" * 65,)}, "invalid_value", "tags"),
        ({"tags": tuple(str(i) for i in range(17))}, "invalid_value", "tags"),
        ({"time_ms": NOW_MS + 300_001}, "invalid_value", "time_ms"),
        ({"time_ms": 0}, "invalid_value", "time_ms"),
        ({"time_ms": -1}, "invalid_value", "time_ms"),
    ],
)
def test_refusals(more: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(ServiceError) as caught:
        checked(signal(**more), now_ms=NOW_MS)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_fragments_of_sql_and_templates_are_text_like_any_other() -> None:
    for text in ("'; drop table signals; --", "{{ 7 * 7 }}", "${jndi:x}", "%s %n", "<script>"):
        assert checked(signal(kind=COMMENT, value=text), now_ms=NOW_MS).value == text


def test_control_characters_are_taken_out_of_texts_and_line_breaks_stay() -> None:
    assert checked(signal(kind=COMMENT, value="a\0\x1b[1mb\r\n\tc\x85"), now_ms=NOW_MS).value == "a[1mb\r\n\tc"


def test_names_come_out_in_one_form() -> None:
    found = checked(signal(tags=("b", "a", "b"), rater="", key_id="k1", time_ms=NOW_MS + 300_000), now_ms=NOW_MS)
    assert (found.tags, found.rater) == (("a", "b"), "k1")


@pytest.mark.parametrize("value", [0.0, -0.0, 0.5, 1.0])
def test_scores(value: float) -> None:
    found = checked(signal(kind=SCORE, value=value), now_ms=NOW_MS).value
    assert msgspec.json.encode(found) == msgspec.json.encode(abs(value))


def test_the_largest_comment_passes_and_fits_into_a_message_with_everything_else() -> None:
    found = checked(
        signal(
            kind=COMMENT,
            value="x" * (MAX_COMMENT_BYTES - 2),
            tags=tuple(f"{i:02}" + "\U0001f642" * 62 for i in range(16)),
            rater="\U0001f642" * 128,
        ),
        now_ms=NOW_MS,
    )
    assert len(msgspec.json.encode(found)) < 1_040_000


def test_every_source_has_a_weight_and_only_a_persons_word_has_the_whole() -> None:
    assert set(WEIGHTS) == set(Source)
    assert {source for source, weight in WEIGHTS.items() if weight == 1.0} == {Source.EXPLICIT, Source.IMPORTED}
    assert all(0 < weight <= 1 for weight in WEIGHTS.values())


def test_ids_from_keys() -> None:
    assert signal_id("t", "k") == signal_id("t", "k") != signal_id("u", "k")
    assert checked(signal(id=signal_id("t", "k")), now_ms=NOW_MS)
