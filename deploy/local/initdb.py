"""Makes PostgreSQL's data directory, once: `python -m deploy.local.initdb DATA PASSWORD_FILE`; says who may connect."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.local.parts.postgres import DATABASE, OWNERS, SERVICES, USER, program

_DONE: Final = "llmos-initialised"
_WHO_MAY_CONNECT: Final = "".join(
    f"host {database} {role} 127.0.0.1/32 scram-sha-256\n"
    for database, role in (("all", USER), *((service, service) for service in SERVICES), *OWNERS.items())
)
_CHILD: Final = Path(__file__).with_name("child.py")


def main() -> None:
    """Make it, or leave it as it is."""
    data, password_file = Path(sys.argv[1]), Path(sys.argv[2])
    if (data / _DONE).exists():
        _say_who_may_connect(data)
        return
    # A directory without the mark is one that a kill has left half made.
    for path in data.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    # Nothing listens yet: the rule that trusts everybody is replaced before the server is started for the first time.
    _postgres(
        data, "initdb", f"--pgdata={data}", f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8",
        "--data-checksums",
    )  # fmt: skip
    _say_who_may_connect(data)
    password = password_file.read_text(encoding="utf-8").strip()
    single = ("postgres", "--single", "-D", str(data))
    _postgres(data, *single, "postgres", text=f"alter role {USER} password '{password}'\ncreate database {DATABASE}\n")
    _postgres(data, *single, DATABASE, text="create extension vector\n")
    (data / _DONE).touch()


def _say_who_may_connect(data: Path) -> None:
    """At every start, for a home may be older than the roles that are known now."""
    (data / "pg_hba.conf").write_text(_WHO_MAY_CONNECT, encoding="utf-8")


def _postgres(data: Path, name: str, *arguments: str, text: str = "") -> None:
    """Run one of PostgreSQL's programs as the unprivileged owner of `data`, with `text` on its standard input."""
    command = (
        sys.executable, "-I", "-S", str(_CHILD), "--parent", str(os.getpid()), "--signal", "15",
        "--private-data", str(data), "--", str(program(name)), *arguments,
    )  # fmt: skip
    result = subprocess.run(command, input=text, text=True, check=False, capture_output=True)
    print(result.stdout, result.stderr, sep="\n")  # noqa: T201 - this is the log
    if result.returncode != 0 or "ERROR:" in result.stderr:
        sys.exit(f"{name} failed with status {result.returncode}")


if __name__ == "__main__":
    main()
