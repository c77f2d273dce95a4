"""A desk in this process; the one behind the public API is in `served_desk`."""

from collections.abc import Sequence
from typing import Any

from services.trainer.corpus.items import Turn
from services.trainer.generation import Sampling, generate
from services.trainer.study.customers import Rated, Reply
from services.trainer.study.served_desk import MAX_TOKENS, RATED_TEMPERATURE


class LocalDesk:
    """A model in this process; judgements stay with the customers."""

    def __init__(self, model: Any, tokenizer: Any, seed: int) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._seed = 1_000 * seed

    async def ask(self, dialogues: Sequence[tuple[Turn, ...]]) -> list[Reply]:
        """One answer for every dialogue, in their order."""
        self._seed += 1
        how = Sampling(temperature=RATED_TEMPERATURE, seed=self._seed, max_tokens=MAX_TOKENS)
        return [Reply(a.text, a.stopped) for a in generate(self._model, self._tokenizer, dialogues, how)]

    async def judge(self, rated: Sequence[Rated]) -> None:
        """Nothing: nobody keeps them here."""
