"""Real PostgreSQL and SeaweedFS, started by the very commands of the local stack, to be killed and restarted by tests.

Their methods block: inside an event loop call them with `asyncio.to_thread`.
"""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Final

import asyncpg  # type: ignore[import-untyped] # it ships no types
import psutil

from deploy.local import initdb
from deploy.local.home import Home
from deploy.local.options import StackOptions
from deploy.local.part import Part
from deploy.local.parts import objects, postgres
from deploy.local.ports import HOST, NAMES
from deploy.local.site import Site
from libs.kit import clock
from libs.kit.settings import ObjectSettings, PostgresSettings
from libs.testkit.ports import free_port
from libs.testkit.processes import die_with_parent

_CHILD: Final = Path(initdb.__file__).with_name("child.py")


class _Store(ABC):
    """One server of the local stack in a directory of its own; its ports and data survive `kill` and `start`."""

    def __init__(self, directory: Path) -> None:
        self.home = Home(directory)
        self.home.prepare()
        ports: set[int] = set()
        while len(ports) < len(NAMES):
            ports.add(free_port())
        self.site = Site(
            home=self.home,
            options=StackOptions(home=str(directory)),
            ports=dict(zip(NAMES, sorted(ports), strict=True)),
        )
        parts = self._parts()
        self._server = next(part for part in parts if not part.task)
        self._tasks = tuple(part for part in parts if part.task)
        self._process: subprocess.Popen[bytes] | None = None
        self._is_prepared = False
        self._log = directory / "server.log"

    def start(self) -> None:
        """Start it and wait until it serves; what has to be made once is made the first time."""
        for task in self._tasks:
            if task.name in self._server.after and not self._is_prepared:
                self._run(task)
        with self._log.open("ab") as log:
            self._process = self._spawn(self._server, log)
        self._wait()
        for task in self._tasks:
            if self._server.name in task.after and not self._is_prepared:
                self._run(task)
        self._is_prepared = True

    def kill(self) -> None:
        """`kill -9`."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as the stack would; SeaweedFS waits up to half a minute for connections that clients keep."""
        self._end(self._server.stop_signal)
        self._clean()

    def discard(self) -> None:
        """End it for good, at once; its data is of no use to anybody."""
        self.kill()
        self._clean()

    def _clean(self) -> None:
        for path in self._server.leftovers:
            path.unlink(missing_ok=True)

    @abstractmethod
    def _parts(self) -> tuple[Part, ...]:
        """The server and its tasks, as the local stack declares them."""

    def _spawn(self, part: Part, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        command = part.command
        if part.private_data is not None:
            command = (
                sys.executable, "-I", "-S", str(_CHILD), "--parent", str(os.getpid()), "--signal", "9",
                "--private-data", str(part.private_data), "--", *command,
            )  # fmt: skip
        return subprocess.Popen(
            command,
            cwd=part.cwd,
            env={"PATH": os.environ["PATH"], **part.env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent,
        )

    def _run(self, task: Part) -> None:
        with self._log.open("ab") as log:
            status = self._spawn(task, log).wait(timeout=task.start_timeout_s)
        if status != 0:
            raise RuntimeError(f"{task.name} ended with {status}: {self._tail()}")

    def _wait(self) -> None:
        ready, process = self._server.ready, self._process
        assert ready is not None
        assert process is not None

        async def answers() -> bool:
            return await ready(0.0)

        deadline_s = time.monotonic() + self._server.start_timeout_s
        while not asyncio.run(answers()):
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError(f"{self._server.name} did not start: {self._tail()}")
            time.sleep(0.05)

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-2_000:]

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            # PostgreSQL's sessions outlive a killed server by some milliseconds, and still answer.
            family = psutil.Process(self._process.pid).children(recursive=True)
            self._process.send_signal(how)
            self._process.wait(timeout=30)
            psutil.wait_procs(family, timeout=30)
        self._process = None


class PostgresServer(_Store):
    """A PostgreSQL server; each test takes a database of its own."""

    async def create_database(self) -> PostgresSettings:
        """Make an empty database and say how to reach it."""
        name = f"t_{clock.new_request_id()}"
        await self.execute(f"create database {name}")
        return self.settings(name)

    async def drop_database(self, settings: PostgresSettings) -> None:
        """Remove it, ending whatever still uses it."""
        await self.execute(f"drop database if exists {settings.database} with (force)")

    def environment(self, prefix: str, settings: PostgresSettings) -> dict[str, str]:
        """The same as environment variables, for example with prefix `REGISTRY_DATABASE__`."""
        return {
            f"{prefix}HOST": settings.host,
            f"{prefix}PORT": str(settings.port),
            f"{prefix}USER": settings.user,
            f"{prefix}DATABASE": settings.database,
            f"{prefix}PASSWORD_FILE": str(settings.password_file),
        }

    def _parts(self) -> tuple[Part, ...]:
        return postgres.parts(self.site)

    def settings(self, database: str) -> PostgresSettings:
        """How the superuser reaches a database."""
        return PostgresSettings(
            host=HOST,
            port=self.site.ports["postgres"],
            user=postgres.USER,
            database=database,
            password_file=self.home.secret_file(postgres.SECRET_NAME),
        )

    async def execute(self, statement: str) -> None:
        """Run a statement as the superuser, in a database of no test."""
        settings = self.settings(postgres.DATABASE)
        connection = await asyncpg.connect(
            host=settings.host,
            port=settings.port,
            user=settings.user,
            database=settings.database,
            password=settings.secret(),
        )
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


class ObjectServer(_Store):
    """A SeaweedFS server that syncs what it acknowledges; each test takes a prefix of its own."""

    @property
    def address(self) -> str:
        """Root of its S3 interface."""
        return f"http://{HOST}:{self.site.ports['s3']}"

    def settings(self, prefix: str = "") -> ObjectSettings:
        """How to reach it, with all keys below `prefix`."""
        return ObjectSettings(
            endpoint=self.address,
            bucket=objects.BUCKET,
            prefix=prefix,
            access_key_file=self.home.secret_file(objects.ACCESS_KEY_NAME),
            secret_key_file=self.home.secret_file(objects.SECRET_KEY_NAME),
            timeout_s=10.0,
        )

    def environment(self, prefix: str, settings: ObjectSettings) -> dict[str, str]:
        """The same as environment variables, for example with prefix `REGISTRY_OBJECTS__`."""
        return {
            f"{prefix}ENDPOINT": settings.endpoint,
            f"{prefix}BUCKET": settings.bucket,
            f"{prefix}PREFIX": settings.prefix,
            f"{prefix}ACCESS_KEY_FILE": str(settings.access_key_file),
            f"{prefix}SECRET_KEY_FILE": str(settings.secret_key_file),
            f"{prefix}TIMEOUT_S": str(settings.timeout_s),
        }

    def fill(self, room_bytes: int) -> None:
        """No file grows beyond the largest one and so much from here on: writes fail in the middle, as on a full disk.

        The kernel does it by the size of a file, which needs no rights and no file system of its own.
        """
        files = (path for path in self.home.directory("objects").rglob("*") if path.is_file())
        self._limit_files(max(path.stat().st_size for path in files) + room_bytes)

    def make_room(self) -> None:
        """Undo `fill`."""
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size_bytes: int) -> None:
        assert self._process is not None
        # The hard limit stays, for it could not be raised again.
        _, hard = resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE)
        soft = hard if size_bytes == resource.RLIM_INFINITY else size_bytes
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def _parts(self) -> tuple[Part, ...]:
        return objects.parts(self.site)
