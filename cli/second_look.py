"""Tests with real servers that failed are run once more, alone, before a long suite is called failed.

They kill and restart servers, and a shared machine may stand still at the wrong instant. A fault in the code fails
both times. What passes the second time is named at the end: it is a bug of the test or a race, and wants mending.
"""

import json
from pathlib import Path
from typing import Final

MOST_FAILURES: Final = 3
"""With more than these it was not chance."""
_WITH_SERVERS: Final = ("tests/e2e/", "tests/faults/", "tests/integration/")


def worth_a_second_look(cache_directory: Path) -> tuple[str, ...]:
    """The failed tests of a run by its pytest cache, if they are few and all of them use real servers; else none."""
    failed = cache_directory / "v" / "cache" / "lastfailed"
    names: list[str] = sorted(json.loads(failed.read_text(encoding="utf-8"))) if failed.is_file() else []
    if len(names) > MOST_FAILURES or not all(name.startswith(_WITH_SERVERS) for name in names):
        return ()
    return tuple(names)
