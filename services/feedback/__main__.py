"""`python -m services.feedback`: serve until SIGTERM or SIGINT."""

import gc
import sys
from typing import Final

from libs.kit.process import run_service
from services.feedback.app import Feedback, build_app
from services.feedback.settings import Settings

_GARBAGE: Final = 100_000
"""Objects made before the collector looks for cycles among the young: more than a batch makes."""


def main() -> int:
    """Run one feedback process."""
    return run_service("feedback", Settings, _build)


def _build(settings: Settings) -> Feedback:
    app = build_app(settings)
    # What was built so far lives as long as the process: the collector need not walk it again and again, nor look for
    # cycles among the rows of every batch.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)
    return app


if __name__ == "__main__":
    sys.exit(main())
