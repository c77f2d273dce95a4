"""Uploads that S3 itself checks: a URL signed together with the SHA-256 of what may be written to it.

AWS, MinIO (since 2022) and SeaweedFS hash what comes, refuse other bytes before an object is there, and tell the
checksum when they are asked. A store that signs the header and ignores it is found out by `is_bound`.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

import structlog
from minio import Minio
from minio.error import S3Error
from urllib3 import PoolManager
from urllib3.util import Timeout

from libs.kit import clock
from libs.kit.objects import asking
from libs.kit.settings import ObjectSettings

log = structlog.get_logger(__name__)

CHECKSUM: Final = "x-amz-checksum-sha256"
_MODE: Final = {"x-amz-checksum-mode": "ENABLED"}
_ALGORITHM: Final = "AWS4-HMAC-SHA256"
_CONNECTIONS: Final = 16
_TRIAL_KEY: Final = "trials/checksum"
_TRIAL: Final = b"bytes whose checksum is signed"
_TRIAL_TTL_S: Final = 60.0
_TAKEN: Final = (200, 201, 204)
_SERVER_ERROR: Final = 500
_MISSING: Final = ("NoSuchKey", "NoSuchObject", "NotFound")


class BoundUrl(NamedTuple):
    """Where to PUT, and the headers without which the URL is worth nothing."""

    url: str
    headers: dict[str, str]


class CheckedObjects:
    """Writes whose content is fixed when the URL is given out; keys are those of `ObjectStore` with the same settings.

    Every method raises `ServiceError` with `storage_unavailable` when S3 does not answer or refuses us.
    """

    def __init__(self, settings: ObjectSettings) -> None:
        self._settings = settings
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._http = PoolManager(maxsize=_CONNECTIONS, timeout=Timeout(settings.timeout_s), retries=2)
        address = urlsplit(settings.endpoint)
        access, secret = settings.keys()
        self._client = Minio(
            address.netloc,
            access,
            secret,
            secure=address.scheme == "https",
            region=settings.region,
            http_client=self._http,
        )
        self._is_bound: bool | None = None

    def sign_put(self, key: str, digest: str, ttl_s: float) -> BoundUrl:
        """A URL to which anyone may write the bytes whose SHA-256 is `digest` for `ttl_s` seconds, and nothing else."""
        return self._sign(self._settings.public_endpoint or self._settings.endpoint, key, digest, ttl_s)

    async def stored_digest(self, key: str) -> str:
        """The SHA-256 that the store took down when it checked the object; empty if there is none to be had."""
        with asking(self._settings, "head"):
            return await asyncio.to_thread(self._stored_digest, key)

    async def is_bound(self) -> bool:
        """Whether this store refuses bytes that a URL was not signed for; tried out once, by sending some."""
        if self._is_bound is None:
            with asking(self._settings, "trial"):
                self._is_bound = await asyncio.to_thread(self._try_wrong_bytes)
            if not self._is_bound:
                log.warning("the object store does not check what it is sent; blobs are read back instead")
        return self._is_bound

    def _sign(self, endpoint: str, key: str, digest: str, ttl_s: float) -> BoundUrl:
        headers = {CHECKSUM: base64.b64encode(bytes.fromhex(digest)).decode("ascii")}
        place = f"/{self._settings.bucket}/{self._prefix}{key}"
        return BoundUrl(_presigned(self._settings, endpoint, place, headers, ttl_s), headers)

    def _stored_digest(self, key: str) -> str:
        try:
            found = self._client.stat_object(self._settings.bucket, self._prefix + key, extra_headers=dict(_MODE))
        except S3Error as error:
            if error.code in _MISSING:
                return ""
            raise
        told = str((found.metadata or {}).get(CHECKSUM, ""))
        # One that ends in "-<parts>" is made of the parts' checksums and not of the bytes; it is no base64 either.
        with contextlib.suppress(ValueError):
            return base64.b64decode(told, validate=True).hex()
        return ""

    def _try_wrong_bytes(self) -> bool:
        """A small object that is always the same is there, with its checksum, and other bytes are refused its place."""
        digest = hashlib.sha256(_TRIAL).hexdigest()
        if self._stored_digest(_TRIAL_KEY) != digest:
            self._put_trial(digest, _TRIAL)
        return self._stored_digest(_TRIAL_KEY) == digest and not self._put_trial(digest, _TRIAL[::-1])

    def _put_trial(self, digest: str, content: bytes) -> bool:
        """Whether the store takes these bytes for those."""
        bound = self._sign(self._settings.endpoint, _TRIAL_KEY, digest, _TRIAL_TTL_S)
        answer = self._http.request("PUT", bound.url, body=content, headers=bound.headers)
        if answer.status >= _SERVER_ERROR:
            raise OSError(f"status {answer.status} for a PUT")
        return answer.status in _TAKEN


def _presigned(settings: ObjectSettings, endpoint: str, place: str, headers: Mapping[str, str], ttl_s: float) -> str:
    """A PUT by AWS Signature 4 in the query; no library at hand signs one together with headers."""
    access, secret = settings.keys()
    moment = re.sub(r"[-:]|\.\d+", "", clock.rfc3339(clock.unix_ms()))
    day = moment[:8]
    scope = f"{day}/{settings.region}/s3/aws4_request"
    address = urlsplit(endpoint)
    # Clients leave the port out of the header where it is the usual one.
    host = address.netloc.removesuffix({"http": ":80", "https": ":443"}[address.scheme])
    signed = {"host": host, **headers}
    names = ";".join(sorted(signed))
    fields = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{access}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(max(1, int(ttl_s))),
        "X-Amz-SignedHeaders": names,
    }
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in sorted(fields.items()))
    path = quote(address.path.rstrip("/") + place, safe="/~")
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    request = f"PUT\n{path}\n{query}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
    text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in (day, settings.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return f"{address.scheme}://{host}{path}?{query}&X-Amz-Signature={signature}"
