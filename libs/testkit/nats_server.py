"""A real nats-server with our configuration, to be started, killed and restarted by tests."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from deploy.nats.config import ENVIRONMENT, USERS, render_config
from libs.kit.bus import BusOptions
from libs.kit.settings import NatsSettings
from libs.testkit.ports import free_port
from libs.testkit.processes import die_with_parent

_BINARY = Path(sys.executable).parent / "nats-server"
_START_TIMEOUT_S = 15.0


class NatsServer:
    """One server process on loopback; its port and store survive `kill` and `start`."""

    def __init__(
        self, directory: Path, certificate: tuple[Path, Path] | None = None, *, listeners: Path | None = None
    ) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.passwords = {user: secrets.token_hex(8) for user in USERS}
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        self._config = directory / "nats.conf"
        self._log = directory / "nats.log"
        self._certificate = certificate
        text = render_config(
            host=self.host,
            port=self.port,
            store_dir=directory / "jetstream",
            passwords=self.passwords,
            certificate=certificate,
            listeners=listeners,
        )
        self._config.write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start and wait until it takes connections."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(_BINARY), "-c", str(self._config)],
                stdout=log,
                stderr=log,
                env={**os.environ, **ENVIRONMENT},
                preexec_fn=die_with_parent,
            )
        deadline_s = time.monotonic() + _START_TIMEOUT_S
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"nats-server did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.02)

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """`kill -9`: what a crash looks like to clients."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it in an orderly way."""
        self._end(signal.SIGTERM)

    def settings(self, user: str) -> NatsSettings:
        """What a service's settings need to connect as `user`."""
        told = {"host": self.host, "port": self.port, "user": user, "password": self.passwords[user]}
        if self._certificate is not None:
            told |= {"tls": True, "tls_ca_file": self._certificate[0]}
        return NatsSettings.model_validate(told)

    def environment(self, prefix: str, user: str) -> dict[str, str]:
        """The same as environment variables, for example with prefix `GATEWAY_NATS__`."""
        secret = self.directory / f"{user}.password"
        secret.write_text(self.passwords[user], encoding="utf-8")
        values = {"HOST": self.host, "PORT": str(self.port), "USER": user, "PASSWORD_FILE": str(secret)}
        return {f"{prefix}{name}": value for name, value in values.items()}

    def options(self, user: str, name: str = "", **more: float) -> BusOptions:
        """Options for a `BusClient` that connects as `user`."""
        return BusOptions(
            host=self.host,
            port=self.port,
            user=user,
            password=self.passwords[user],
            name=name or f"test.{user}",
            **more,  # type: ignore[arg-type] # only the numeric options are passed through
        )

    def _listens(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), timeout=1) as connection:
                # Encrypted, it waits for the client to begin.
                return self._certificate is not None or connection.recv(5) == b"INFO "
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, how)
            self._process.wait(timeout=20)
        self._process = None
