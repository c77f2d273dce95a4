"""A compiled load generator and a running mock engine, once for all tests here."""

import sys
from collections.abc import Iterator

import pytest

from benchmarks.accounting import Role
from benchmarks.contenders import Contender
from benchmarks.generator import Generator, Target, build_generator
from benchmarks.isolation import free_port
from benchmarks.processes import Program, answers

START_S = 20.0


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    home = tmp_path_factory.mktemp("bench")
    return Generator(build_generator(home), home / "requests")


@pytest.fixture(scope="session")
def direct(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contender]:
    """The mock engine as the contender that is called directly."""
    port = free_port()
    log = tmp_path_factory.mktemp("mock") / "mock.log"
    program = Program("mock", [sys.executable, "-m", "benchmarks.mock_engine", "--port", str(port)], log)
    try:
        program.wait_until(lambda: answers(port, "/v1/models"), START_S)
        target = Target(port, "mock", {}, {})
        yield Contender(name="direct", title="", version="", target=target, roles=(Role("engine", program.pid),))
    finally:
        program.stop()


@pytest.fixture
def mock(direct: Contender) -> Target:
    return direct.target
