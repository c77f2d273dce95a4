"""What a client says of an answer, and the command that it becomes."""

import hashlib
import re
from collections import OrderedDict
from typing import Final

import msgspec

from libs.contracts.feedback import RecordSignal, SignalKind, Source
from libs.kit import clock, signals
from libs.kit.errors import ServiceError
from services.gateway.identity import Principal
from services.gateway.routes.endpoints import read_body as decode

MAX_BATCH: Final = 1_000
_PLAIN_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_REMEMBERED: Final = 50_000


class Judgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a client says; the tenant is the key's, never the body's."""

    kind: SignalKind
    value: bool | float | str
    inference_id: str = ""
    episode_id: str = ""
    rater: str = ""
    tags: tuple[str, ...] = ()
    source: Source = Source.EXPLICIT
    time_ms: int | None = None


class KeyedJudgement(Judgement, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of many: it brings its own key, for the header has only one."""

    idempotency_key: str | None = None


class JudgementBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many at once, each decoded for itself so that a bad one spoils no other."""

    signals: list[msgspec.Raw]


def read(body: bytes, idempotency_key: str | None, principal: Principal) -> RecordSignal:
    """The command that a body means.

    What comes again is known by its `Idempotency-Key`, else by the body itself if it says when it was given.

    Raises:
        ServiceError: an `invalid_request_error` that names the field at fault.
    """
    given: Judgement = decode(Judgement, body)
    if idempotency_key is not None:
        _check_key(idempotency_key)
    return _command(given, given, idempotency_key, principal)


def read_batch(body: bytes, idempotency_key: str | None, principal: Principal) -> list[RecordSignal | ServiceError]:
    """The command that each row means, or what is wrong with it.

    A row is known again by its own `idempotency_key`; else by the header's and its place; else as a single one.

    Raises:
        ServiceError: the body as a whole is none, `request_too_large` with more than `MAX_BATCH` rows.
    """
    batch: JudgementBatch = decode(JudgementBatch, body)
    if not batch.signals:
        raise ServiceError("missing_field", "`signals` must hold at least one judgement.", param="signals")
    if len(batch.signals) > MAX_BATCH:
        text = f"`signals` may hold at most {MAX_BATCH} judgements; send the others in another request."
        raise ServiceError("request_too_large", text, param="signals")
    if idempotency_key is not None:
        _check_key(idempotency_key)
    return [_read_row(row, number, idempotency_key, principal) for number, row in enumerate(batch.signals)]


def _read_row(
    row: msgspec.Raw, number: int, idempotency_key: str | None, principal: Principal
) -> RecordSignal | ServiceError:
    try:
        keyed: KeyedJudgement = decode(KeyedJudgement, bytes(row))
        key = keyed.idempotency_key
        if key is not None:
            _check_key(key)
        elif idempotency_key is not None:
            # A space is in no client's key.
            key = f"{idempotency_key} {number}"
        fields = {name: getattr(keyed, name) for name in Judgement.__struct_fields__}
        return _command(keyed, Judgement(**fields), key, principal)
    except ServiceError as error:
        return error


def _command(given: Judgement, plain: Judgement, key: str | None, principal: Principal) -> RecordSignal:
    now_ms = clock.unix_ms()
    command = RecordSignal(
        id=_signal_id(plain, key, principal.tenant),
        tenant=principal.tenant,
        kind=given.kind,
        value=given.value,
        time_ms=now_ms if given.time_ms is None else given.time_ms,
        inference_id=given.inference_id,
        episode_id=given.episode_id,
        rater=given.rater,
        source=given.source,
        tags=given.tags,
        key_id=principal.key_id,
    )
    return signals.checked(command, now_ms=now_ms)


def _signal_id(given: Judgement, key: str | None, tenant: str) -> str:
    if key is not None:
        return signals.signal_id(tenant, key)
    if given.time_ms is not None:
        return signals.signal_id(tenant, f"body {hashlib.sha256(msgspec.json.encode(given)).hexdigest()}")
    return f"sig_{clock.new_request_id()}"


def _check_key(key: str) -> None:
    if _PLAIN_KEY.fullmatch(key) is None:
        text = "Idempotency-Key must be 1 to 255 visible ASCII characters."
        raise ServiceError("invalid_value", text, param="Idempotency-Key")


class Recent:
    """What this process took in lately, so that a key used for something else is refused at once.

    What another process took in is not here: then both reach feedback, which keeps the first and puts the second to the
    dead letters, saying why.
    """

    def __init__(self, limit: int = _REMEMBERED) -> None:
        self._digests: OrderedDict[str, bytes] = OrderedDict()
        self._limit = limit

    def check(self, signal_id: str, digest: bytes) -> None:
        """Return if the id is unknown or means the same.

        Raises:
            ServiceError: `idempotency_conflict`.
        """
        if self._digests.get(signal_id, digest) != digest:
            text = "This Idempotency-Key came with another judgement before; use a key of its own for each."
            raise ServiceError("idempotency_conflict", text, param="Idempotency-Key")

    def add(self, signal_id: str, digest: bytes) -> None:
        """Remember what the stream has."""
        self._digests[signal_id] = digest
        self._digests.move_to_end(signal_id)
        if len(self._digests) > self._limit:
            self._digests.popitem(last=False)
