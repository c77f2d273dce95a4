"""What uvicorn writes piece by piece leaves in one piece."""

import asyncio


class OneWritePerTick(asyncio.Transport):
    """A transport that sends everything written in one loop tick with one system call.

    The server writes head and body of an answer one by one, and each system call costs several times a decoding.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        """Write to `transport`."""
        super().__init__()
        self._inner = transport
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon
        self.is_closing = transport.is_closing  # type: ignore[method-assign] # delegation without a call in between
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign] # as above
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign] # as above
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign] # as above
        self.set_protocol = transport.set_protocol  # type: ignore[method-assign] # as above
        self.abort = transport.abort  # type: ignore[method-assign] # as above

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send it at the end of this tick."""
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(bytes(data))

    def write_now(self, data: bytes) -> None:
        """Send what waits and then `data`, at once."""
        if self._parts:
            self._flush()
        if not self.is_closing():
            self._inner.write(data)

    def close(self) -> None:
        """Send what waits, then close."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        parts = self._parts
        if parts:
            self._parts = []
            if not self.is_closing():
                self._inner.write(parts[0] if len(parts) == 1 else b"".join(parts))
