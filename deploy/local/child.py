"""Becomes one process of the stack: a signal when the parent dies, and no root for a program that refuses to be root.

Run as a plain script with `python -I -S`, so that it costs some milliseconds; it imports the standard library only.

    child.py --parent PID --signal N [--private-data DIR] -- PROGRAM ARGUMENT…

PostgreSQL refuses to run as root. As root, `--private-data` first enters a user namespace in which root's own files
belong to an unprivileged account: no account is made, no permission is widened, and every privilege is gone. Where the
kernel forbids that (many containers), the process becomes `nobody`, owns its data, and the directories that lead to it
may be passed through by others.
"""

import argparse
import ctypes
import os
import pwd
import shutil
import signal
import sys
from pathlib import Path

_CLONE_NEWUSER = 0x1000_0000
_PR_SET_PDEATHSIG = 1
_ACCOUNT = "nobody"
_OTHERS_MAY_SEARCH = 0o001


def main() -> None:
    """Prepare this process, then replace it by the program."""
    options = _parse()
    if options.private_data is not None and os.geteuid() == 0:
        _leave_root(options.private_data, Path(options.program[0]), namespace=options.namespace)
    # Last, because a change of identity clears it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, options.signal)
    if os.getppid() != options.parent:
        sys.exit("the supervisor is gone")
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execv(options.program[0], options.program)  # noqa: S606 - this is the whole purpose


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--private-data", type=Path)
    parser.add_argument("--no-namespace", dest="namespace", action="store_false")
    parser.add_argument("program", nargs="+")
    return parser.parse_args()


def _leave_root(data: Path, program: Path, *, namespace: bool) -> None:
    account = pwd.getpwnam(_ACCOUNT)
    if namespace and _can_enter_namespace():
        _own(data, 0, 0)
        _enter_namespace(account)
        return
    _own(data, account.pw_uid, account.pw_gid)
    for path in (*data.resolve().parents, *program.resolve().parents):
        mode = path.stat().st_mode
        if not mode & _OTHERS_MAY_SEARCH:
            sys.stderr.write(f"others may now pass through {path}, so that {_ACCOUNT} reaches {data}\n")
            path.chmod(mode | _OTHERS_MAY_SEARCH)
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _can_enter_namespace() -> bool:
    """Try it in a process that is thrown away, for a failed half cannot be undone."""
    probe = os.fork()
    if probe == 0:
        try:
            _enter_namespace(pwd.getpwnam(_ACCOUNT))
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(probe, 0)[1]) == 0


def _enter_namespace(account: pwd.struct_passwd) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    own = Path("/proc/self")
    (own / "setgroups").write_text("deny", encoding="ascii")
    (own / "uid_map").write_text(f"{account.pw_uid} 0 1", encoding="ascii")
    (own / "gid_map").write_text(f"{account.pw_gid} 0 1", encoding="ascii")


def _own(data: Path, user: int, group: int) -> None:
    """Give `data` to `user` unless it is theirs already."""
    if data.stat().st_uid == user:
        return
    for path in (data, *data.rglob("*")):
        shutil.chown(path, user, group)


if __name__ == "__main__":
    main()
