"""`python -m services.inference`: one worker process, configured by `INFERENCE_*`."""

import sys


def main() -> int:
    """Run until told to stop; 0 after an orderly drain, 1 when the engine died."""
    # Imported here because engines start children that import this module again.
    import uvloop  # noqa: PLC0415

    from libs.kit.telemetry import configure_logging  # noqa: PLC0415
    from services.inference.app import serve  # noqa: PLC0415
    from services.inference.settings import Settings  # noqa: PLC0415

    configure_logging("inference")
    return uvloop.run(serve(Settings()))


if __name__ == "__main__":
    sys.exit(main())
