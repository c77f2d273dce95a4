"""`python -m services.feedback`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.feedback.app import build_app
from services.feedback.settings import Settings


def main() -> int:
    """Run one feedback process."""
    return run_service("feedback", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
