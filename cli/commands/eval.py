"""`./llmos eval`; status 1 when the gate is not passed."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.training import declare, follow
from cli.training.session import AUTHOR
from libs.contracts.evaluation import DeclaredEvaluationPlan, Measure
from libs.contracts.training import OrderEvaluation


def run(  # noqa: PLR0913 - one per option
    file: Annotated[Path | None, typer.Argument(metavar="[PLAN.yaml]", help="A plan; else give options.")] = None,
    *,
    candidate: Annotated[str, typer.Option(metavar="REF", help="What is measured; overrules the plan's.")] = "",
    baseline: Annotated[str, typer.Option(metavar="REF", help="Against what; else the champion, or the base.")] = "",
    task: Annotated[list[str] | None, typer.Option(metavar="REF|FILE", help="Data set, or file of items.")] = None,
    measure: Annotated[list[Measure] | None, typer.Option(help="Else exact match.")] = None,
    rule: Annotated[list[str] | None, typer.Option(metavar="NAME[=REGEX]", help="That each answer must meet.")] = None,
    temperature: Annotated[list[float] | None, typer.Option(help="Else 0 and 0.7.")] = None,
    samples: Annotated[int, typer.Option(help="Answers per item above 0.")] = 0,
    seed: Annotated[int, typer.Option(help="Of all chance.")] = 0,
    detach: Annotated[bool, typer.Option("--detach", help="Return when it is queued.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure a version against another on questions that training never saw; the report is published."""
    given = {"temperatures": temperature, "samples": samples, "seed": seed}
    options: dict[str, Any] = {key: value for key, value in given.items() if value}
    versions = {key: value for key, value in (("candidate", candidate), ("baseline", baseline)) if value}
    if file is not None:
        if options or task or measure or rule:
            raise typer.BadParameter("a file declares all but the two versions", param_hint="PLAN.yaml")
        plan = declare.overruled(declare.evaluation(file), versions)
    else:
        if not task or not candidate:
            raise typer.BadParameter("name a plan, or give --candidate and --task", param_hint="--task")
        tasks = [declare.task(each, [one.value for one in measure or ()], rule or []) for each in task]
        plan = declare.from_options({**options, **versions, "tasks": tasks}, DeclaredEvaluationPlan)
    follow.order("evaluation_order", OrderEvaluation(plan=plan, author=AUTHOR), detach=detach, as_json=as_json)
