"""The card that travels with a version: what it is, where it comes from, how it did, and where it ends."""

from pathlib import Path
from typing import Final

import msgspec

from libs.contracts.training import Method
from services.trainer.recipes.parts.task import Task

_WHAT: Final = {
    Method.SFT: "Imitates answers that were judged well and those that people wrote (supervised fine-tuning).",
    Method.DPO: "Prefers the better of two answers (direct preference optimisation with an SFT term).",
    Method.KTO: "Moves towards answers judged well and away from those judged badly (KTO with an SFT term).",
    Method.PRETRAIN: "Continues plain text.",
}
_CHANCE: Final = frozenset({"seconds", "peak_rss_bytes"})
"""Left out: what is written again after a stop must have the same bytes, to be the same version."""
_TEXT: Final = """---
{head}
---

# {name}

{what} {kind}

| | |
|---|---|
| base | {base} |
| data set | {dataset}, {rows} rows |
| recipe | `{recipe}` |

| measured in training | |
|---|---|
{metrics}

**Limits.** It knows what its base knows, changed by the rows above and by nothing else; what they hold of mistakes and
of manners, it has learned. These figures say how well it fits its data, not how good its answers are: an evaluation
does. Judge it before it serves.
"""


def card(task: Task, method: Method, rows: int, metrics: dict[str, float]) -> str:
    """The card as Markdown, its head as Hugging Face reads it."""
    order = task.order
    base = order.base_name or Path(order.base).name
    adapter = not task.recipe.full and method is not Method.PRETRAIN
    head = {"license": order.licence or "unknown", **({"base_model": base} if base else {})}
    recipe = msgspec.json.encode(order.recipe).decode()
    return _TEXT.format(
        head="\n".join(f"{key}: {value}" for key, value in head.items()),
        name=order.name or "A model",
        what=_WHAT[method],
        kind="A LoRA adapter for its base." if adapter else "A whole model.",
        base=base or "none: made from nothing",
        dataset=order.dataset_name or Path(order.rows).name,
        rows=rows,
        recipe=recipe,
        metrics="\n".join(
            f"| {name} | {value:.6g} |" for name, value in sorted(metrics.items()) if name not in _CHANCE
        ),
    )
