"""The named test suites; `standard` is what `./llmos test` and continuous integration run."""

from dataclasses import dataclass
from typing import Final

STANDARD: Final = "standard"
LONG_MARKERS: Final = ("slow", "stack", "demo", "deploy")
_STORES: Final = (
    "tests/e2e",
    "tests/integration/audit",
    "tests/integration/events",
    "tests/integration/feedback",
    "tests/integration/identity",
    "tests/integration/kit",
    "tests/integration/local",
    "tests/integration/registry",
    "tests/integration/rollout",
    "tests/integration/trainer",
)
"""Where PostgreSQL, S3 or the whole stack are started."""


@dataclass(frozen=True)
class Suite:
    """A set of tests, and whether the static checks go with it."""

    sentence: str
    pytest_arguments: tuple[str, ...] = ()
    with_checks: bool = False
    with_tests: bool = True
    needs: str = ""
    """A program without whose answer the suite cannot run at all; then it says so and fails."""


SUITES: Final = {
    STANDARD: Suite(
        "checks, and every test that is not long; real vLLM included",
        ("-m", f"not ({' or '.join(LONG_MARKERS)})"),
        with_checks=True,
    ),
    "quick": Suite(
        "the same without real vLLM, PostgreSQL, S3 and the whole stack: the everyday loop",
        ("-m", f"not ({' or '.join((*LONG_MARKERS, 'vllm'))})", *(f"--ignore={place}" for place in _STORES)),
        with_checks=True,
    ),
    "checks": Suite("ruff, formatting, types and import rules only", with_checks=True, with_tests=False),
    "vllm": Suite("the real engine", ("-m", "vllm")),
    "stack": Suite("starts, kills and stops of the whole stack, again and again", ("-m", "stack")),
    "demo": Suite("`./llmos demo --once`, all of it: ten minutes", ("-m", "demo")),
    "deploy": Suite(
        "the installation in containers: up, faults, down; a quarter of an hour", ("-m", "deploy"), needs="docker"
    ),
    "faults": Suite("kills and failures at random, under load", ("-m", "slow and not vllm")),
    "all": Suite("everything there is", with_checks=True),
}
