"""The demo with the outside network denied: nothing is fetched at run time."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
NO_NETWORK: Final = ("unshare", "--net", "--map-root-user")
PROGRAM: Final = (
    "ip link set lo up 2>/dev/null || {python} -c "
    '\'import fcntl,socket,struct; s=socket.socket(); fcntl.ioctl(s,0x8914,struct.pack("16sh14x",b"lo",0x41))\'; '
    "{python} -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 1)' 2>/dev/null && exit 77; "
    "exec {root}/llmos demo --once --ask"
)


def _may_unshare() -> bool:
    return subprocess.run([*NO_NETWORK, "true"], check=False, capture_output=True).returncode == 0


@pytest.mark.vllm
def test_the_demo_needs_no_network_but_loopback(tmp_path: Path) -> None:
    if not _may_unshare():
        pytest.skip("this machine forbids network namespaces, so the network cannot be denied")
    program = PROGRAM.format(python=ROOT / ".venv" / "bin" / "python", root=ROOT)
    done = subprocess.run(
        [*NO_NETWORK, "sh", "-c", program],
        env={**os.environ, "LLMOS_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode != 77, "the network was not denied"
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "worker-0" in done.stdout
