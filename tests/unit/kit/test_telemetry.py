"""Log lines are JSON for machines and never show what a crashed function held."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """
import structlog
from libs.kit.telemetry import configure_logging
configure_logging("gateway")
def crash(authorization):
    raise ValueError("broken")
try:
    crash("Bearer sk-llmos-" + "secret")
except ValueError:
    structlog.get_logger("x").exception("request crashed", route="/v1/models")
"""


def test_a_traceback_names_the_place_but_not_the_secrets_in_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True, env={})
    line = json.loads(done.stderr)
    assert (line["event"], line["service"], line["route"]) == ("request crashed", "gateway", "/v1/models")
    assert line["exception"][0]["exc_value"] == "broken"
    assert line["exception"][0]["frames"][-1]["name"] == "crash"
    assert "sk-llmos-secret" not in done.stderr


def test_signed_urls_are_not_logged() -> None:
    program = (
        "import httpx2\n"
        "from libs.kit.telemetry import configure_logging\n"
        "configure_logging('inference')\n"
        "answer = lambda request: httpx2.Response(200)\n"
        "httpx2.Client(transport=httpx2.MockTransport(answer)).get('http://store/blob?X-Amz-Signature=secret')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, env={})
    assert done.stderr == ""


def test_how_much_is_logged_changes_from_the_next_line_on_also_for_loggers_in_use() -> None:
    program = (
        "import logging, structlog\n"
        "from libs.kit.telemetry import configure_logging\n"
        "from libs.kit.telemetry.logging import set_log_level\n"
        "configure_logging('registry', level='WARNING')\n"
        "ours, theirs = structlog.get_logger('ours').bind(a=1), logging.getLogger('theirs')\n"
        "for level in ('WARNING', 'DEBUG', 'ERROR', 'INFO'):\n"
        "    set_log_level(level)\n"
        "    for logger in (ours, structlog.get_logger('fresh'), theirs, logging.getLogger('httpx2')):\n"
        "        for name in ('debug', 'info', 'error'):\n"
        "            getattr(logger, name)(level)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, env={})
    said = [json.loads(line) for line in done.stderr.splitlines()]
    for logger in ("ours", "fresh", "theirs"):
        assert [(one["event"], one["level"]) for one in said if one["logger"] == logger] == [
            ("WARNING", "error"),
            *(("DEBUG", level) for level in ("debug", "info", "error")),
            ("ERROR", "error"),
            *(("INFO", level) for level in ("info", "error")),
        ]
    assert {one["level"] for one in said if one["logger"] == "httpx2"} == {"error"}, "it would tell signed URLs"
