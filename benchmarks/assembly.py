"""Brings up everything that one part of the benchmark compares, and takes it down again."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.accounting import Role
from benchmarks.contenders import Contender
from benchmarks.generator import Target
from benchmarks.isolation import free_port
from benchmarks.llmos import Worker, remove_installation, start_llmos
from benchmarks.peers import MODEL, PEERS, Upstream
from benchmarks.processes import Program, StartError, answers
from benchmarks.real_vllm import start_vllm_serve, vllm_worker

MOCK_START_S: Final = 20.0


@dataclass
class Assembly:
    """What is up, in the order in which it was started."""

    home: Path
    contenders: list[Contender] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    programs: list[Program] = field(default_factory=list)

    def keep(self, program: Program) -> None:
        """Remember `program`, so that it is stopped whatever happens next."""
        self.programs.append(program)

    def add(self, name: str, start: Callable[[], Contender]) -> None:
        """Start a contender and say so."""
        print(f"starting {name} …", flush=True)
        self.contenders.append(start())

    def try_peer(self, name: str, start: Callable[[], Contender]) -> None:
        """Start a peer; one that does not come up is reported as not run."""
        try:
            self.add(name, start)
        except StartError as error:
            self.not_run[name] = str(error)
            print(f"{name} is not run: {error}", flush=True)

    def stop(self) -> None:
        """Stop everything, the last first, and remove what our own path has stored."""
        for program in reversed(self.programs):
            program.stop()
        remove_installation(self.home)


@contextmanager
def mock_assembly(home: Path, wanted: tuple[str, ...], peers: Path | str) -> Iterator[Assembly]:
    """The mock engine and everything in front of it; `peers` is their `bin` directory, or why there is none."""
    assembly = Assembly(home)
    try:
        upstream = _start_mock(assembly)
        if "direct" in wanted:
            assembly.contenders.append(_direct(upstream))
        if "llmos" in wanted:
            worker = Worker(
                model=MODEL, model_name=MODEL, environment={"INFERENCE_ENGINE": "benchmarks.stepping_engine:build"}
            )
            assembly.add("llmos", lambda: start_llmos(home, worker, assembly.keep))
        for name in [name for name in PEERS if name in wanted]:
            if isinstance(peers, str):
                assembly.not_run[name] = peers
            else:
                assembly.try_peer(name, partial(PEERS[name], peers, home, upstream, assembly.keep))
        yield assembly
    finally:
        assembly.stop()


@contextmanager
def vllm_assembly(home: Path, wanted: tuple[str, ...], model: Path) -> Iterator[Assembly]:
    """Two real engines with equal arguments: one behind vLLM's own server, one behind the whole path."""
    assembly = Assembly(home)
    try:
        if "vllm-serve" in wanted:
            assembly.add("vllm serve", lambda: start_vllm_serve(home, model, assembly.keep))
        if "llmos" in wanted:
            assembly.add("llmos", lambda: start_llmos(home, vllm_worker(model), assembly.keep))
        yield assembly
    finally:
        assembly.stop()


def _start_mock(assembly: Assembly) -> Upstream:
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.mock_engine", "--port", str(port)]
    program = Program("mock engine", command, assembly.home / "logs/mock-engine.log")
    assembly.keep(program)
    program.wait_until(lambda: answers(port, "/v1/models"), MOCK_START_S)
    return Upstream(port, Role("engine", program.pid))


def _direct(upstream: Upstream) -> Contender:
    return Contender(
        name="direct",
        title="engine called directly",
        version="",
        target=Target(upstream.port, MODEL, {}, {}),
        roles=(upstream.role,),
    )
