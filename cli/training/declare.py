"""What is to be trained or measured: a YAML file, or options."""

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import typer

from cli.declared import converted, locate_tasks, read
from libs.contracts.evaluation import DeclaredEvaluationPlan
from libs.contracts.training import DeclaredTrainingPlan

T = TypeVar("T", DeclaredTrainingPlan, DeclaredEvaluationPlan)
_EXAMPLE: Final = "dataset: lessons"
_SEE: Final = "The fields are those of a plan: see services/trainer/README.md."


def training(path: Path) -> DeclaredTrainingPlan:
    """The training that a YAML file declares.

    Raises:
        StackError: it cannot be read, or says something that is not understood.
    """
    declared = read(path, _EXAMPLE)
    locate_tasks(declared.get("evaluation"), path.parent)
    return converted(declared, DeclaredTrainingPlan, path, _SEE)


def evaluation(path: Path) -> DeclaredEvaluationPlan:
    """The evaluation that a YAML file declares.

    Raises:
        StackError: as `training`.
    """
    declared = read(path, _EXAMPLE)
    locate_tasks(declared, path.parent)
    return converted(declared, DeclaredEvaluationPlan, path, _SEE)


def from_options(declared: dict[str, Any], kind: type[T]) -> T:
    """A plan from plain values.

    Raises:
        typer.BadParameter: one is not what it must be.
    """
    try:
        return msgspec.convert(declared, kind)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(str(error)) from error


def overruled(plan: DeclaredEvaluationPlan, versions: dict[str, str]) -> DeclaredEvaluationPlan:
    """The plan with other versions."""
    return msgspec.structs.replace(plan, **versions)


def task(source: str, measures: list[str], rules: list[str]) -> dict[str, Any]:
    """A task from a file of this machine, or else from a reference of a data set."""
    path = Path(source).expanduser()
    if path.is_file():
        place = {"name": path.stem, "file": str(path.resolve())}
    else:
        place = {"name": source.partition("@")[0], "dataset": source}
    return {**place, **({"measures": measures} if measures else {}), **({"rules": rules} if rules else {})}
