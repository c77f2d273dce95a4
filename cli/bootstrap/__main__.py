"""`python -m cli.bootstrap [COMMAND]`: makes `.venv` right; `./llmos` runs it when a lock has changed."""

import fcntl
import os
import sys

from cli.bootstrap import install, locks
from cli.bootstrap.locks import BootstrapError
from cli.commands import COMMANDS, HELP


def main() -> None:
    """Install what is missing; a second call at the same time waits for the first. Help needs nothing installed."""
    command = sys.argv[1] if len(sys.argv) > 1 else HELP[0]
    if command in HELP:
        _print_help()
        return
    lock = os.open(locks.ROOT, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        runtime = locks.runtime_for(os.environ)
        wanted = [runtime] + ([locks.DEV] if command in locks.NEEDS_DEV else [])
        missing = [name for name in wanted if not locks.is_installed(name)]
        variables = install.ensure_venv(os.environ) if missing else {}
        for name in missing:
            install.install(name, variables)
    except BootstrapError as error:
        sys.stderr.write(f"✗ {error}\n")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.stderr.write("✗ Interrupted; the next call goes on where this one stopped.\n")
        sys.exit(130)


def _print_help() -> None:
    """The help, before there is an environment that could print it in colour."""
    lines = [f"  {name:<9}{sentence}" for name, sentence in COMMANDS.items()]
    sys.stdout.write("\n".join(("", "llmos  an operating system for language models", "", *lines, "", "")))


if __name__ == "__main__":
    main()
