"""Why a process cannot start, in one line: the setting to look at, what happened, and what to do."""

import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from libs.kit.bus import BusClient, BusError, BusRefusedError
from libs.kit.errors import ServiceError
from libs.kit.settings import NatsSettings

CANNOT_START: Final = 1
"""Exit status of a process that could not start."""
_ADDRESS: Final = (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES)
_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_STRANGER_STATE: Final = "28"
"""Class of SQLSTATE: PostgreSQL does not know the user, or not by this password."""
_DATABASE_STATE: Final = "3D000"
_NO_RIGHT_STATE: Final = "42501"
_DISK_STATE: Final = "53100"


class StartError(Exception):
    """Trying again will not help before somebody changes something."""

    def __init__(self, setting: str, text: str) -> None:
        """Say where to look and what to do.

        Args:
            setting: without the service's prefix, for example `NATS__PASSWORD_FILE`.
            text: what happened, and what to do.
        """
        super().__init__(text)
        self.setting = setting


class _Reason(NamedTuple):
    setting: str
    text: str


async def knock(settings: NatsSettings) -> None:
    """Return if the bus lets us in, or is not there to be asked.

    Raises:
        StartError: it does not take our password, or we do not trust its certificate.
    """
    bus = BusClient(settings.options("knock"))
    address = f"{settings.host}:{settings.port}"
    try:
        await bus.connect()
    except BusRefusedError as error:
        text = f"NATS at {address} refuses {settings.user!r}: give the password that its configuration has for it."
        raise StartError("NATS__PASSWORD_FILE", text) from error
    except BusError as error:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            text = f"The certificate of NATS at {address} is not trusted: name the file of who has signed it."
            raise StartError("NATS__TLS_CA_FILE", text) from error
    finally:
        await bus.close()


def why(service: str, settings: object, error: BaseException) -> str | None:
    """One line about what kept `service` from starting; None if nobody has foreseen it."""
    for one in _causes(error):
        found = _stated(one) or _database(one, settings) or _machine(one) or _away(one, settings)
        if found is not None:
            return f"{service}: {service.upper()}_{found.setting}: {found.text}"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it wraps."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        inner = getattr(seen, "orig", None)
        if isinstance(inner, BaseException):
            yield inner
        seen = seen.__cause__


def _stated(error: BaseException) -> _Reason | None:
    return _Reason(error.setting, str(error)) if isinstance(error, StartError) else None


def _database(error: BaseException, settings: object) -> _Reason | None:
    """What PostgreSQL itself says by its SQLSTATE, whichever library brings it."""
    state = str(getattr(error, "sqlstate", None) or "")
    if not state:
        return None
    told: Any = getattr(settings, "database", None)
    where = f"PostgreSQL at {told.host}:{told.port}" if told is not None else "PostgreSQL"
    if state.startswith(_STRANGER_STATE):
        text = f"{where} refuses {told.user!r}: give the password that was set when its role was made."
        return _Reason("DATABASE__PASSWORD_FILE", text)
    if state == _DATABASE_STATE:
        text = f"{where} has no database {told.database!r}: name one that is there, or have it made (postgres-setup)."
        return _Reason("DATABASE__DATABASE", text)
    if state == _NO_RIGHT_STATE:
        text = f"{where} lets {told.user!r} not make what it needs ({error}): let it own the database."
        return _Reason("DATABASE__USER", text)
    if state == _DISK_STATE:
        return _Reason("DATABASE__HOST", f"The disk of {where} is full: make room there, then start again.")
    return None


def _machine(error: BaseException) -> _Reason | None:
    if not isinstance(error, OSError):
        return None
    if isinstance(error, socket.gaierror):
        return _Reason("HOST", f"No address of this name ({error.strerror}): name one of this machine.")
    if error.errno in _ADDRESS:
        return _Reason("PORT", f"The address cannot be opened ({error.strerror}): choose another, or end who has it.")
    if error.errno in _NO_ROOM:
        return _Reason("DIRECTORY", f"No room on the disk for {error.filename or 'our files'}: make some.")
    return None


def _away(error: BaseException, settings: object) -> _Reason | None:
    """What was waited for, for as long as the settings say."""
    if isinstance(error, ServiceError) and error.code == "storage_unavailable":
        return _Reason("DATABASE__HOST", error.message)
    if isinstance(error, BusError):
        return _Reason("NATS__HOST", f"{error}: start it, or say where it is.")
    if isinstance(error, TimeoutError) and getattr(settings, "start_timeout_s", None) is not None:
        return _Reason("START_TIMEOUT_S", "What this stands on did not answer in time: see whether it runs.")
    return None
