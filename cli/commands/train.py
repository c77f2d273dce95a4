"""`./llmos train`; status 1 when no better version came of it."""

from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import typer

from cli.training import declare, follow
from cli.training.session import AUTHOR
from libs.contracts.training import DeclaredTrainingPlan, Method, OrderTraining

_RECIPE: Final = ("method", "full", "rank", "learning_rate", "steps", "batch_rows", "replay", "replay_share", "seed",
                  "threads", "devices")  # fmt: skip


def run(  # noqa: PLR0913 - one per option
    file: Annotated[Path | None, typer.Argument(metavar="[PLAN.yaml]", help="A plan; else give options.")] = None,
    *,
    dataset: Annotated[str, typer.Option(metavar="REF", help="What to learn; a bare name is its newest.")] = "",
    base: Annotated[str, typer.Option(metavar="REF", help="The model to teach.")] = "",
    name: Annotated[str, typer.Option(help="Of what is made; else the base's.")] = "",
    split: Annotated[str, typer.Option(help="Of the data set.")] = "",
    method: Annotated[Method | None, typer.Option(help="How; else by what the data set has.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Teach all weights, not an adapter.")] = False,
    rank: Annotated[int, typer.Option(help="Of the adapter.")] = 0,
    learning_rate: Annotated[float, typer.Option(help="Else the method's own.")] = 0.0,
    steps: Annotated[int, typer.Option(help="Else by the number of rows.")] = 0,
    batch_rows: Annotated[int, typer.Option(help="Rows per step.")] = 0,
    replay: Annotated[str, typer.Option(metavar="REF", help="Data set that is mixed in, so nothing is lost.")] = "",
    replay_share: Annotated[float, typer.Option(help="Its share of every batch.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    threads: Annotated[int, typer.Option(help="Of the CPU.")] = 0,
    devices: Annotated[int, typer.Option(help="GPUs.")] = 0,
    licence: Annotated[str, typer.Option(metavar="SPDX", help="Of what is made.")] = "",
    evaluation: Annotated[Path | None, typer.Option("--eval", metavar="PLAN.yaml", help="Measure it then.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is queued.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Make a version out of a data set; it is published, and served to nobody before a rollout."""
    given: dict[str, Any] = {
        "method": method, "full": full, "rank": rank, "learning_rate": learning_rate, "steps": steps,
        "batch_rows": batch_rows, "replay": replay, "replay_share": replay_share, "seed": seed, "threads": threads,
        "devices": devices,
    }  # fmt: skip
    recipe = {key: given[key] for key in _RECIPE if given[key]}
    fields = {"dataset": dataset, "base": base, "name": name, "split": split, "licence": licence}
    options: dict[str, Any] = {key: value for key, value in fields.items() if value}
    if file is not None:
        if options or recipe:
            raise typer.BadParameter("a file declares all of the plan; leave the options away", param_hint="PLAN.yaml")
        plan = declare.training(file)
    else:
        plan = _from_options(options, recipe)
    if evaluation is not None:
        plan = msgspec.structs.replace(plan, evaluation=declare.evaluation(evaluation))
    follow.order("training_order", OrderTraining(plan=plan, author=AUTHOR), detach=detach, as_json=as_json)


def _from_options(options: dict[str, Any], recipe: dict[str, Any]) -> DeclaredTrainingPlan:
    if "dataset" not in options:
        raise typer.BadParameter("name a plan, or give --dataset and --base", param_hint="--dataset")
    if "name" not in options:
        if "base" not in options:
            raise typer.BadParameter("what is made needs a name", param_hint="--name")
        options["name"] = options["base"].partition("@")[0]
    return declare.from_options({**options, "recipe": recipe}, DeclaredTrainingPlan)
