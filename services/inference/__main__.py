"""`python -m services.inference`: one worker process, configured by `INFERENCE_*`."""

import importlib.util
import sys

import uvloop

from libs.kit.telemetry import configure_logging
from services.inference.app import serve
from services.inference.settings import Settings


def main() -> int:
    """Run until told to stop; 0 after an orderly drain, 1 when the engine died."""
    # Children spawned by the engine import the module of this name; left alone, they would import nothing.
    sys.modules["__main__"].__spec__ = importlib.util.find_spec("services.inference.child")
    configure_logging("inference")
    return uvloop.run(serve(Settings()))


if __name__ == "__main__":
    sys.exit(main())
