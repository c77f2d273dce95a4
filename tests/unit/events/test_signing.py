"""Signatures are those of Standard Webhooks: a published example, two secrets, and what changes one."""

import base64

import pytest

from libs.kit.errors import ServiceError
from libs.kit.event_types import WantedTypes, check_patterns
from services.events.webhooks.signing import headers, new_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_published_example() -> None:
    body = b'{"test": 2432232314}'
    signed = sign(SECRET, event_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp_s=1614265330, body=body)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_part_is_signed_and_both_secrets_sign() -> None:
    both = headers((SECRET, new_secret()), event_id="a", timestamp_s=1, body=b"b")["webhook-signature"].split(" ")
    others = [
        sign(SECRET, event_id="x", timestamp_s=1, body=b"b"),
        sign(SECRET, event_id="a", timestamp_s=2, body=b"b"),
        sign(SECRET, event_id="a", timestamp_s=1, body=b"c"),
    ]
    assert len({*both, *others}) == 5
    assert both[0] == sign(SECRET, event_id="a", timestamp_s=1, body=b"b")
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


@pytest.mark.parametrize(
    ("patterns", "event_type", "passes"),
    [
        ((), "dev.llmos.job.changed.v1", True),
        (("dev.llmos.job.changed.v1",), "dev.llmos.job.changed.v1", True),
        (("dev.llmos.job.changed.v1",), "dev-llmos.job.changed.v1", False),
        (("*.job.*",), "dev.llmos.job.changed.v1", True),
        (("*.changed.v1", "x"), "dev.llmos.turn.changed.v1", True),
        (("dev.llmos.job",), "dev.llmos.job.changed.v1", False),
        (("*",), "anything", True),
    ],
)
def test_which_types_are_wanted(patterns: tuple[str, ...], event_type: str, passes: bool) -> None:
    assert (event_type in WantedTypes(patterns)) is passes


@pytest.mark.parametrize("pattern", ["", ">", "dev.llmos.jobs.*", "DEV.*", "a b", "*" * 200, "(a+)+$"])
def test_a_pattern_that_can_match_nothing_is_a_mistake(pattern: str) -> None:
    with pytest.raises(ServiceError):
        check_patterns([pattern], param="type")
