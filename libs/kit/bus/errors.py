"""What can go wrong between a process and the bus."""


class BusError(Exception):
    """Base of all bus failures."""


class BusUnavailableError(BusError):
    """There is no connection to the server, or nobody listens on the subject."""


class BusRefusedError(BusUnavailableError):
    """The server does not know this user by this password."""


class BusTimeoutError(BusError):
    """No answer came in time; whether the message arrived is unknown."""


class BusOverloadedError(BusError):
    """More bytes wait to be sent than this client may hold."""


class BusPayloadError(BusError):
    """The message is larger than the server takes."""
