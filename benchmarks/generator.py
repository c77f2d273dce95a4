"""The load generator: a small C program, compiled when it is first needed."""

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.loads import PATH, Load
from benchmarks.records import Figures

SOURCES: Final = Path(__file__).parent / "loadgen"
COMPILER_FLAGS: Final = ("-O2", "-Wall", "-Wextra")
MARGIN_S: Final = 30.0


class GeneratorError(RuntimeError):
    """The load generator cannot be built, or could not reach its target."""


@dataclass(frozen=True)
class Target:
    """Where a load is sent."""

    port: int
    model: str
    headers: Mapping[str, str]
    extra: dict[str, object]
    """Body fields that this engine needs beside those of the load."""


def build_generator(home: Path) -> Path:
    """The compiled load generator under `home`; built again only when its source has changed."""
    sources = sorted(SOURCES.glob("*.[ch]"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    program = home / f"loadgen-{digest}"
    if program.exists():
        return program
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise GeneratorError("the load generator needs a C compiler (gcc)")
    home.mkdir(parents=True, exist_ok=True)
    draft = program.with_suffix(".part")
    units = [str(source) for source in sources if source.suffix == ".c"]
    built = subprocess.run(
        [compiler, *COMPILER_FLAGS, "-o", str(draft), *units], capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        raise GeneratorError(f"the load generator does not compile:\n{built.stderr}")
    draft.replace(program)
    return program


@dataclass(frozen=True)
class Generator:
    """Sends loads and reads what came of them; `scratch` holds the request files."""

    program: Path
    scratch: Path

    def run(self, target: Target, load: Load, *, max_requests: int = 0) -> Figures:
        """Send `load` to `target` for its window, or until `max_requests` have been sent.

        Raises:
            GeneratorError: nothing listens there, or the generator broke.
        """
        body, headers = self._request_files(target, load)
        arguments = [target.port, PATH, body, headers, load.connections, load.warm_s, load.window_s]
        arguments += [load.min_events, max_requests, load.drain_s, load.spread_s]
        done = subprocess.run(
            [str(self.program), *map(str, arguments)],
            capture_output=True,
            check=False,
            timeout=load.warm_s + load.window_s + load.drain_s + MARGIN_S,
        )
        if done.returncode != 0:
            raise GeneratorError(done.stderr.decode(errors="replace").strip())
        return msgspec.json.decode(done.stdout, type=Figures)

    def _request_files(self, target: Target, load: Load) -> tuple[Path, Path]:
        self.scratch.mkdir(parents=True, exist_ok=True)
        body, headers = self.scratch / "body.json", self.scratch / "headers.txt"
        body.write_bytes(load.body(target.model, target.extra))
        headers.touch(mode=0o600)
        headers.write_text("".join(f"{name}: {value}\r\n" for name, value in target.headers.items()), encoding="ascii")
        return body, headers
