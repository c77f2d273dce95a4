"""Tenth step: JSONL and Parquet, the same bytes for the same rows."""

from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import msgspec
import pyarrow as pa  # type: ignore[import-untyped] # it ships no types
import pyarrow.parquet as pq  # type: ignore[import-untyped] # as above

from libs.contracts.datasets import Shape
from services.feedback.datasets.shapes import Record, as_json

ROW_GROUP: Final = 8_192
_MESSAGE: Final = pa.struct(
    [
        ("role", pa.string()),
        ("content", pa.string()),
        ("name", pa.string()),
        ("tool_call_id", pa.string()),
        ("tool_calls", pa.string()),
    ]
)
_MESSAGES: Final = pa.list_(_MESSAGE)
_LISTS_OF_MESSAGES: Final = frozenset({"messages", "prompt", "chosen", "rejected", "completion"})
_BODIES: Final = {
    Shape.SFT: [("messages", _MESSAGES), ("demonstration", pa.bool_())],
    Shape.PREFERENCE: [
        ("prompt", _MESSAGES),
        ("chosen", _MESSAGES),
        ("rejected", _MESSAGES),
        ("rejected_id", pa.string()),
        ("demonstration", pa.bool_()),
    ],
    Shape.KTO: [("prompt", _MESSAGES), ("completion", _MESSAGES), ("label", pa.bool_()), ("demonstration", pa.bool_())],
    Shape.EVALUATION: [("messages", _MESSAGES), ("reference", pa.string())],
    Shape.RAW: [("episode", pa.string()), ("messages", _MESSAGES), ("signals", pa.string())],
}
_encoder: Final = msgspec.json.Encoder()


def schema_of(shape: Shape) -> Any:
    """Columns of the Parquet file; tool calls and signals are JSON text there."""
    return pa.schema([("id", pa.string()), *_BODIES[shape], ("model_version", pa.string()), ("time_ms", pa.int64())])


class SplitWriter:
    """Writes `<split>.jsonl` and `<split>.parquet`, row by row."""

    def __init__(self, directory: Path, split: str, shape: Shape) -> None:
        self.rows = 0
        self._schema = schema_of(shape)
        self._lines: IO[bytes] = (directory / f"{split}.jsonl").open("wb", buffering=1 << 20)
        self._table = pq.ParquetWriter(
            directory / f"{split}.parquet",
            self._schema,
            version="2.6",
            compression="zstd",
            compression_level=3,
            use_dictionary=["model_version"],
            write_statistics=True,
            store_schema=True,
        )
        self._waiting: list[Record] = []

    def add(self, record: Record) -> None:
        """Write one row."""
        self._lines.write(_encoder.encode(record) + b"\n")
        self._waiting.append(_columns(record))
        self.rows += 1
        if len(self._waiting) == ROW_GROUP:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is None:
            self._flush()
        self._table.close()
        self._lines.close()

    def _flush(self) -> None:
        if self._waiting:
            self._table.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema), row_group_size=ROW_GROUP)
            self._waiting = []


def _columns(record: Record) -> Record:
    return {name: _column(name, value) for name, value in record.items()}


def _column(name: str, value: Any) -> Any:
    if name in _LISTS_OF_MESSAGES:
        return [_message(message) for message in value]
    return as_json(value) if name == "signals" else value


def _message(message: Record) -> Record:
    calls = message.get("tool_calls")
    return message if calls is None else {**message, "tool_calls": as_json(calls)}
