"""`python -m services.scheduler`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.scheduler.app import build_app
from services.scheduler.settings import Settings


def main() -> int:
    """Run one scheduler process."""
    return run_service("scheduler", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
