"""Signs what is sent, as Standard Webhooks describes it: HMAC-SHA256 over id, time and body."""

import base64
import hashlib
import hmac
from typing import Final

from libs.kit import clock

_PREFIX: Final = "whsec_"


def new_secret() -> str:
    """A fresh key of 256 bits."""
    return _PREFIX + base64.b64encode(hashlib.sha256(clock.new_secret().encode()).digest()).decode()


def sign(secret: str, *, event_id: str, timestamp_s: int, body: bytes) -> str:
    """`v1,<base64>`."""
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    signed = b"%b.%d.%b" % (event_id.encode(), timestamp_s, body)
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def headers(secrets: tuple[str, ...], *, event_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers; while a secret is being changed there are two signatures."""
    signatures = (sign(secret, event_id=event_id, timestamp_s=timestamp_s, body=body) for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }
