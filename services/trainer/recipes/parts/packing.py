"""Packing: rows of a batch share sequences, so that little is padding; what is learned stays the same."""

from dataclasses import dataclass
from typing import Any

import torch

from services.trainer.recipes.parts.tokens import IGNORED


@dataclass(frozen=True)
class Packing:
    """Puts the rows of a batch into as few sequences of at most `max_tokens` as first-fit decreasing finds.

    Positions start at 0 for every row; the attention of `transformers` takes that for the border between rows, none
    of which sees another. The loss is a mean over tokens, so it is that of the same rows unpacked.
    """

    max_tokens: int

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        """Sequences [sequences x tokens]: `input_ids`, `labels`, `position_ids`."""
        sequences = self._sequences(rows)
        width = max(sum(len(row["input_ids"]) for row in sequence) for sequence in sequences)
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        labels = torch.full_like(ids, IGNORED)
        # Padding is a row of its own: it goes on counting from 0.
        positions = torch.zeros_like(ids)
        for number, sequence in enumerate(sequences):
            start = 0
            for row in sequence:
                end = start + len(row["input_ids"])
                ids[number, start:end] = torch.tensor(row["input_ids"])
                # The first token of a row would be predicted from the row before.
                labels[number, start:end] = torch.tensor([IGNORED, *row["labels"][1:]])
                positions[number, start:end] = torch.arange(end - start)
                start = end
            positions[number, start:] = torch.arange(width - start)
        return {"input_ids": ids, "labels": labels, "position_ids": positions}

    def _sequences(self, rows: list[dict[str, list[int]]]) -> list[list[Any]]:
        sequences: list[list[Any]] = []
        room: list[int] = []
        for row in sorted(rows, key=lambda row: -len(row["input_ids"])):
            length = len(row["input_ids"])
            place = next((number for number, left in enumerate(room) if left >= length), None)
            if place is None:
                sequences.append([])
                room.append(self.max_tokens)
                place = len(room) - 1
            sequences[place].append(row)
            room[place] -= length
        return sequences
