"""`python -m services.rollout`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.rollout.app import build_app
from services.rollout.settings import Settings


def main() -> int:
    """Run one rollout process."""
    return run_service("rollout", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
