"""Every number of ours as a page: `python -m deploy.prometheus > architecture/metrics.md`."""

import importlib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from libs.kit.metrics import parts
from libs.kit.metrics.measure import Measure

_SERVICES: Final = Path(__file__).resolve().parents[2] / "services"
PLUMBING: Final = "every service"
ENGINE: Final[Mapping[str, str]] = {
    "vllm:num_requests_running": "Requests in the engine's batches.",
    "vllm:num_requests_waiting": "Requests that the engine has and does not run.",
    "vllm:kv_cache_usage_perc": "Part of the cache of keys and values in use, from 0 to 1.",
    "vllm:prefix_cache_queries_total": "Prompt tokens that were looked up in the prefix cache.",
    "vllm:prefix_cache_hits_total": "Of them, those that were there.",
    "vllm:num_preemptions_total": "Requests put back because the cache was full.",
    "vllm:prompt_tokens_total": "Prompt tokens read.",
    "vllm:generation_tokens_total": "Tokens generated.",
    "vllm:time_to_first_token_seconds": "From arrival in the engine to the first token.",
    "vllm:inter_token_latency_seconds": "Between two tokens of one request.",
    "vllm:request_queue_time_seconds": "How long requests waited inside the engine.",
    "vllm:request_success_total": "Requests that ended, by why.",
}
"""What our dashboards read of the engine's own numbers; a test looks for them in the installed vLLM."""
_HEAD: Final = """\
# Metrics

Written by `python -m deploy.prometheus`: every number that our processes show to Prometheus. A service shows its own
on its page (`<SERVICE>_METRICS_PORT`, the gateway on its own port), beside those of every service. No label holds a
tenant, a key, a request or a client's words. Alerts and dashboards: [deploy/README.md](../deploy/README.md); what to do
about them: [deploy/RUNBOOK.md](../deploy/RUNBOOK.md).
"""


def main() -> None:
    """Print the whole page."""
    sys.stdout.write(render())


def chapters() -> dict[str, tuple[Measure, ...]]:
    """The table of each service, by its name, and that of what they share."""
    names = sorted(path.parent.name for path in _SERVICES.glob("*/metrics.py"))
    own = {name: importlib.import_module(f"services.{name}.metrics").MEASURES for name in names}
    return {PLUMBING: parts.MEASURES, **own}


def shown() -> dict[str, Measure]:
    """Every number of ours, by the name that Prometheus knows it by."""
    return {measure.shown: measure for measures in chapters().values() for measure in measures}


def render() -> str:
    """The text of `architecture/metrics.md`."""
    blocks = [_HEAD]
    for chapter, measures in chapters().items():
        blocks.append(f"\n## {chapter[0].upper()}{chapter[1:]}\n\n{_table(measures)}")
    rows = "".join(f"| `{name}` | {sentence} |\n" for name, sentence in ENGINE.items())
    said = "On the page of each worker, beside ours; the dashboards read these."
    blocks.append(f"\n## vLLM\n\n{said}\n\n| name | what it says |\n|---|---|\n{rows}")
    return "".join(blocks)


def _table(measures: Iterable[Measure]) -> str:
    rows = [
        f"| `{one.shown}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.sentence} |\n"
        for one in measures
    ]
    return "| name | kind | labels | what it says |\n|---|---|---|---|\n" + "".join(rows)


if __name__ == "__main__":
    main()
