"""`python -m services.inference`: one worker process, configured by `INFERENCE_*`."""

import importlib.util
import multiprocessing
import os
import sys

import uvloop

from libs.kit.process import BAD_SETTINGS, WRONG_SETTINGS, refused
from libs.kit.starting import CANNOT_START, StartError, why
from libs.kit.telemetry import configure_logging
from libs.kit.telemetry.tracing import stop_tracing
from services.inference.app import REPLACE, serve
from services.inference.settings import Settings


def main() -> int:
    """Run until told to stop; 0 after an orderly drain, 1 when the engine died, 2 where a setting is wrong."""
    # Children spawned by the engine import the module of this name; left alone, they would import nothing.
    sys.modules["__main__"].__spec__ = importlib.util.find_spec("services.inference.child")
    try:
        settings = Settings()
    except WRONG_SETTINGS as error:
        print(refused("inference", error), file=sys.stderr)  # noqa: T201 - logging is not configured yet
        return BAD_SETTINGS
    configure_logging("inference", level=settings.log_level)
    try:
        status = uvloop.run(serve(settings))
    except StartError as error:
        print(why("inference", settings, error), file=sys.stderr)  # noqa: T201 - one line, as of a wrong setting
        return CANNOT_START
    stop_tracing()
    if status == REPLACE:
        _replace()
    return status


def _replace() -> None:
    """Begin again as the same process, with the same parent and the same signal at the parent's death."""
    for child in multiprocessing.active_children():
        # What an engine has left; it would outlive the memory of whose it is.
        child.kill()
        child.join()
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the very same program


if __name__ == "__main__":
    sys.exit(main())
