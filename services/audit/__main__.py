"""`python -m services.audit`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.audit.app import build_app
from services.audit.settings import Settings


def main() -> int:
    """Run one audit process."""
    return run_service("audit", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
