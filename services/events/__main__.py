"""`python -m services.events`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.events.app import build_app
from services.events.settings import Settings


def main() -> int:
    """Run one events process."""
    return run_service("events", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
