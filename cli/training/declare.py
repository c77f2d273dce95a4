"""What is to be trained or measured: a YAML file, or options."""

from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import typer

from deploy.local.errors import StackError
from libs.contracts.evaluation import DeclaredEvaluationPlan
from libs.contracts.training import DeclaredTrainingPlan

T = TypeVar("T", DeclaredTrainingPlan, DeclaredEvaluationPlan)
_SEE: Final = "The fields are those of a plan: see services/trainer/README.md."


def training(path: Path) -> DeclaredTrainingPlan:
    """The training that a YAML file declares.

    Raises:
        StackError: it cannot be read, or says something that is not understood.
    """
    declared = _read(path)
    _locate(declared.get("evaluation"), path.parent)
    return _converted(declared, DeclaredTrainingPlan, str(path))


def evaluation(path: Path) -> DeclaredEvaluationPlan:
    """The evaluation that a YAML file declares.

    Raises:
        StackError: as `training`.
    """
    declared = _read(path)
    _locate(declared, path.parent)
    return _converted(declared, DeclaredEvaluationPlan, str(path))


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


def _read(path: Path) -> dict[str, Any]:
    try:
        declared = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise StackError(f"{path} cannot be read: {error.strerror}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise StackError(f"{path} is not YAML: {error}") from error
    if not isinstance(declared, dict):
        raise StackError(f"{path} must hold names and values, for example `dataset: lessons`.")
    return declared


def _locate(evaluation: Any, folder: Path) -> None:
    """Files of tasks are named from where the plan is, and the trainer is elsewhere."""
    tasks = evaluation.get("tasks") if isinstance(evaluation, dict) else None
    for each in tasks if isinstance(tasks, list) else ():
        if isinstance(each, dict) and isinstance(each.get("file"), str):
            each["file"] = str((folder / Path(each["file"]).expanduser()).resolve())


def _converted(declared: dict[str, Any], kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(declared, kind)
    except msgspec.ValidationError as error:
        raise StackError(f"{where}: {error}", _SEE) from error
