"""The services that begin in a way of their own are watched like the others once they serve."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from libs.kit.watchdog import HUNG
from libs.testkit.nats_server import NatsServer
from libs.testkit.platform import FAKE_ENGINE
from libs.testkit.processes import die_with_parent
from libs.testkit.service_process import ROOT

GATEWAY = """
import asyncio, sys, time
from services.gateway import __main__, server
async def stand_still(*_):
    time.sleep(3600)
server.Server.on_tick = stand_still
sys.exit(__main__.main())
"""
INFERENCE = """
import asyncio, sys, threading, time
from services.inference import __main__, app
async def stand_still(*_):
    while "watchdog" not in {thread.name for thread in threading.enumerate()}:
        await asyncio.sleep(0.01)
    time.sleep(3600)
app.App._live = stand_still
sys.exit(__main__.main())
"""


@pytest.mark.parametrize(("service", "code"), [("gateway", GATEWAY), ("inference", INFERENCE)])
def test_a_service_that_hangs_while_it_serves_ends_and_says_where(
    service: str, code: str, nats: NatsServer, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"sk-llmos-{secrets.token_hex(16)}", encoding="utf-8")
    settings = {"GATEWAY_API_KEYS_FILE": str(keys), "GATEWAY_PORT": "0", "INFERENCE_ENGINE": FAKE_ENGINE}
    hung = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={
            "PATH": os.environ["PATH"],
            **nats.environment(f"{service.upper()}_NATS__", service),
            **settings,
            "INFERENCE_MODEL": "fake",
            "LLMOS_HANG_LIMIT_S": "1",
        },
        stderr=subprocess.PIPE,
        timeout=240,
        check=False,
        preexec_fn=die_with_parent,
    )
    assert hung.returncode == HUNG, hung.stderr
    said = json.loads(hung.stderr.splitlines()[-1])
    assert (said["service"], said["status"]) == (service, HUNG)
    assert said["stack"][0].endswith(" stand_still")
