"""`python -m services.trainer`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.trainer.app import build_app
from services.trainer.settings import Settings


def main() -> int:
    """Run one trainer."""
    return run_service("trainer", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
