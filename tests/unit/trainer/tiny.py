"""A base of a few thousand weights, data sets of a few rows, and trainings of them in this process."""

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

import torch

from libs.contracts.training import Recipe
from libs.kit.errors import ServiceError
from services.trainer.recipes import pretrain
from services.trainer.recipes.parts.task import Task, Wish
from services.trainer.work.order import Checkpointed, Done, Report, Started, Train

Row = dict[str, Any]


def make_base(directory: Path) -> Path:
    """A Llama of one layer with random weights, and a tokenizer that knows a little English."""
    shape = pretrain.Recipe(dialogues=60, vocabulary=300, hidden=32, layers=1, context=256)
    tokenizer = pretrain.train_tokenizer(pretrain.write_corpus(shape), shape)
    model = pretrain.build_model(shape, tokenizer)
    with torch.no_grad():
        # Else no adapter could make any token likely: the head is the embedding, and frozen.
        model.lm_head.weight.mul_(20)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def write_rows(path: Path, rows: Iterable[Row]) -> Path:
    """A split of a data set."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def said(text: str) -> Row:
    """An answer."""
    return {"role": "assistant", "content": text}


def _kindly(number: int) -> str:
    return f"With pleasure: {number} euros."


def asked(number: int) -> list[Row]:
    """A question of its own."""
    return [{"role": "user", "content": f"How much is the {'red ' * (number % 5)}lamp number {number}?"}]


def sft_rows(count: int = 24) -> list[Row]:
    """Good answers, every fourth of them a demonstration."""
    rows: list[Row] = [{"id": f"r{n}", "messages": [*asked(n), said(_kindly(n))]} for n in range(count)]
    for row in rows[::4]:
        row["demonstration"] = True
    return rows


def kto_rows(count: int = 24) -> list[Row]:
    """Every third answer is good."""
    return [
        {
            "id": f"r{n}",
            "prompt": asked(n),
            "completion": [said(_kindly(n) if n % 3 == 0 else f"{n}.")],
            "label": n % 3 == 0,
        }
        for n in range(count)
    ]


def pair_rows(count: int = 24) -> list[Row]:
    """A kind answer against a curt one."""
    return [
        {"id": f"r{n}", "prompt": asked(n), "chosen": [said(_kindly(n))], "rejected": [said(f"{n}.")]}
        for n in range(count)
    ]


def text_rows(count: int = 24) -> list[Row]:
    """Sentences."""
    return [{"text": f"Lamp number {n} costs {n} euros. " * (1 + n % 3)} for n in range(count)]


ROWS = {"sft": sft_rows, "kto": kto_rows, "preference": pair_rows, "text": text_rows}


class Training:
    """What a training in this process said and left."""

    def __init__(self, order: Train) -> None:
        self.order = order
        self.reports: list[Report] = []
        self.directory = Path(order.directory)

    def said(self, kind: type[Any]) -> list[Any]:
        """Its reports of this kind."""
        return [report for report in self.reports if isinstance(report, kind)]

    @property
    def started(self) -> Started:
        """How it began."""
        (report,) = self.said(Started)
        assert isinstance(report, Started)
        return report

    @property
    def metrics(self) -> dict[str, float]:
        """What it ended with."""
        (report,) = self.said(Done)
        assert isinstance(report, Done)
        return report.metrics

    @property
    def checkpoints(self) -> list[int]:
        """The steps of its checkpoints."""
        return [report.step for report in self.said(Checkpointed)]

    @property
    def weights(self) -> bytes:
        """The result."""
        (path,) = (self.directory / "result").glob("*.safetensors")
        return path.read_bytes()


def order_for(directory: Path, base: Path | str, shape: str, recipe: Recipe, **more: Any) -> Train:
    """An order for a data set of this shape, which is written unless it is there."""
    rows = directory / "data" / "train.jsonl"
    if not rows.exists():
        write_rows(rows, ROWS[shape]())
    return Train(recipe=recipe, base=str(base), rows=str(rows), shape=shape, directory=str(directory), **more)


def train(order: Train, stop: Wish | None = None, training: Training | None = None) -> Training:
    """Carry it out."""
    from services.trainer.recipes.run import run  # noqa: PLC0415 - seconds of imports that not every test needs

    training = training or Training(order)
    Path(order.directory).mkdir(parents=True, exist_ok=True)
    run(Task(order=order, report=training.reports.append, stop=stop or Event()))
    return training


def failure(order: Train, training: Training | None = None) -> ServiceError:
    """How it fails."""
    try:
        train(order, training=training)
    except ServiceError as error:
        return error
    raise AssertionError("the training did not fail")
