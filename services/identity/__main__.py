"""`python -m services.identity`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.identity.app import build_app
from services.identity.settings import Settings


def main() -> int:
    """Run one identity process."""
    return run_service("identity", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
