"""`python -m services.registry`: serve until SIGTERM or SIGINT."""

import sys

from libs.kit.process import run_service
from services.registry.app import build_app
from services.registry.settings import Settings


def main() -> int:
    """Run one registry process."""
    return run_service("registry", Settings, build_app)


if __name__ == "__main__":
    sys.exit(main())
