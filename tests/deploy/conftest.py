"""One project for all tests, in their order; and the table of what was measured."""

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from libs.testkit.ports import free_port
from tests.deploy.project import FAKE_ENGINE, Compose, engine_answers, get_images

_ROWS: Final = pytest.StashKey[list[tuple[str, ...]]]()
_NOTES: Final = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def compose(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The project, with its images; torn down at the end, whatever happened."""
    if not engine_answers():
        pytest.skip("not run: no Docker engine answers `docker info`")
    folder = tmp_path_factory.mktemp("exam")
    for each in (folder, *folder.parents[:2]):  # pytest's own, which only its user may enter
        each.chmod(0o755)
    project = Compose(port=free_port(), folder=folder)
    project.down()
    get_images(project)
    request.config.stash[_ROWS] = []
    request.config.stash[_NOTES] = project.notes
    try:
        project.begin()
        yield project
    finally:
        project.down(check=False)


@pytest.fixture
def row(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Adds a row to the table that is printed at the end."""

    def add(*cells: object) -> None:
        texts = tuple(f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in cells)
        request.config.stash[_ROWS].append(texts)

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section(f"the installation in containers, {'fake engine' if FAKE_ENGINE else 'vLLM'}")
    head = ("what happens", "requests that failed", "served again after (s)", "container healthy after (s)")
    for cells in (head, ("---", "---:", "---:", "---:"), *rows):
        terminalreporter.write_line(f"| {' | '.join((*cells, *('',) * (len(head) - len(cells))))} |")
    if notes := config.stash[_NOTES]:
        terminalreporter.write_line(f"Stand-ins, not the published images: {', '.join(notes)}")
