"""Rollout plans and loops as YAML files declare them."""

from pathlib import Path
from typing import Final

import msgspec
import typer

from cli.datasets import declare as datasets
from cli.declared import converted, locate_tasks, read
from deploy.local.errors import StackError
from libs.contracts.rollouts import DeclaredLoop, DeclaredRolloutPlan

_SEE: Final = "The fields are those of a plan and of a loop: see services/rollout/README.md and loops/helpdesk.yaml."


def plan(path: Path | None, *, name: str, candidate: str) -> DeclaredRolloutPlan:
    """The plan that a file declares, or the usual one, for this name and candidate.

    Raises:
        StackError: the file cannot be read, or says something that is not understood.
        typer.BadParameter: the file is about another name or candidate.
    """
    found = converted(read(path, "alias: champion"), DeclaredRolloutPlan, path, _SEE) if path else DeclaredRolloutPlan()
    for said, meant in ((found.name, name), (found.candidate, candidate)):
        if said and said != meant:
            raise typer.BadParameter(f"the plan is about {said!r}, not {meant!r}", param_hint="--plan")
    return msgspec.structs.replace(found, name=name, candidate=candidate)


def loop(path: Path) -> DeclaredLoop:
    """The loop that a file declares; dates and files of tasks are read as `datasets build` and `eval` read them.

    Raises:
        StackError: it cannot be read, or says something that is not understood.
    """
    declared = read(path, "name: helpdesk")
    locate_tasks(declared.get("evaluation"), path.parent)
    selection = declared.get("selection")
    if isinstance(selection, dict):
        try:
            declared["selection"] = datasets.fields(selection)
        except ValueError as error:
            raise StackError(f"{path}: `selection`: {error}", _SEE) from error
    return converted(declared, DeclaredLoop, path, _SEE)
