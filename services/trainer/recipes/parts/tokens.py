"""From messages to tokens: what the chat template writes, and which of it is learned."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from jinja2 import TemplateError

from libs.kit.errors import ServiceError
from services.trainer.recipes.parts.rows import Answer, Message, Pair, Text

IGNORED: Final = -100
"""The label of a token that is read and not learned."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Encoded:
    """One answer to one prompt, in tokens; together no longer than was asked for."""

    prompt: list[int]
    answer: list[int]
    good: bool = True
    demonstration: bool = False

    @property
    def length_tokens(self) -> int:
        """Of both."""
        return len(self.prompt) + len(self.answer)

    @property
    def tokens(self) -> list[int]:
        """What the model reads."""
        return self.prompt + self.answer

    @property
    def labels(self) -> list[int]:
        """What it learns of it: the answer; where the prompt is, `IGNORED`."""
        return [IGNORED] * len(self.prompt) + self.answer


@dataclass(frozen=True)
class EncodedPair:
    """A better and a worse answer to one prompt, in tokens."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    demonstration: bool = False

    @property
    def length_tokens(self) -> int:
        """Of the prompt with the longer answer."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


def encode_answers(
    tokenizer: Any, rows: Sequence[Answer], max_tokens: int, say: Callable[[str], None]
) -> list[Encoded]:
    """Every answer behind its prompt, ended by the token that ends a turn.

    A row that is too long loses the beginning of its prompt; one whose answer alone is too long is left out.

    Raises:
        ServiceError: `incompatible_base`, the base has no chat template; `bad_dataset`, it refuses a row, or no row
            is left.
    """
    sides = _sides(tokenizer, [(row.prompt, [row.answer]) for row in rows])
    return _kept(
        [
            Encoded(before, answer, row.good, row.demonstration)
            for row, (prompt, (answer,)) in zip(rows, sides, strict=True)
            if (before := _fit(prompt, len(answer), max_tokens))
        ],
        len(rows),
        max_tokens,
        say,
    )


def encode_pairs(
    tokenizer: Any, rows: Sequence[Pair], max_tokens: int, say: Callable[[str], None]
) -> list[EncodedPair]:
    """Every pair behind its prompt; otherwise as `encode_answers`."""
    sides = _sides(tokenizer, [(row.prompt, [row.chosen, row.rejected]) for row in rows])
    return _kept(
        [
            EncodedPair(before, chosen, rejected, row.demonstration)
            for row, (prompt, (chosen, rejected)) in zip(rows, sides, strict=True)
            if (before := _fit(prompt, max(len(chosen), len(rejected)), max_tokens))
        ],
        len(rows),
        max_tokens,
        say,
    )


def encode_texts(tokenizer: Any, rows: Sequence[Text], max_tokens: int) -> list[list[int]]:
    """Every text, ended and cut into pieces of at most `max_tokens`, for all of it is learned."""
    texts = [[*tokens, tokenizer.eos_token_id] for tokens in _tokens(tokenizer, [row.text for row in rows])]
    pieces = [text[start : start + max_tokens] for text in texts for start in range(0, len(text), max_tokens)]
    # A single token predicts nothing.
    return [piece for piece in pieces if len(piece) > 1]


def _sides(
    tokenizer: Any, rows: Sequence[tuple[list[Message], list[Message]]]
) -> list[tuple[list[int], list[list[int]]]]:
    """Prompt and answers of every row in tokens, all texts at once, which is how tokenizers are fast."""
    rendered = [_render(tokenizer, prompt, answers) for prompt, answers in rows]
    prompts = _tokens(tokenizer, [prompt for prompt, _ in rendered])
    answers = iter(_tokens(tokenizer, [answer for _, answers in rendered for answer in answers]))
    return [
        (prompt, [_ended(tokenizer, next(answers)) for _ in said])
        for prompt, (_, said) in zip(prompts, rendered, strict=True)
    ]


def _render(tokenizer: Any, prompt: list[Message], answers: list[Message]) -> tuple[str, list[str]]:
    """Prompt and answers as the server's template writes them."""
    if not tokenizer.chat_template:
        raise ServiceError("incompatible_base", "The base has no chat template: nobody could talk to it.")
    try:
        before = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
        wholes = [tokenizer.apply_chat_template([*prompt, answer], tokenize=False) for answer in answers]
    except (TemplateError, TypeError, KeyError) as error:
        raise ServiceError("bad_dataset", f"The base's chat template refuses a row: {error}.") from error
    # Some templates write the last turn otherwise than they announce it; what differs belongs to the answer.
    shared = min(_shared_characters(before, whole) for whole in wholes)
    return before[:shared], [whole[shared:] for whole in wholes]


def _shared_characters(one: str, other: str) -> int:
    if other.startswith(one):
        return len(one)
    return next(place for place, (a, b) in enumerate(zip(one, other + "\0", strict=False)) if a != b)


def _tokens(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    tokens: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return tokens


def _ended(tokenizer: Any, tokens: list[int]) -> list[int]:
    """Up to the end of the turn: what a template writes behind it is never generated."""
    end = tokenizer.eos_token_id
    if end not in tokens:
        return [*tokens, end]
    return tokens[: len(tokens) - tokens[::-1].index(end)]


def _fit(prompt: list[int], answer_tokens: int, max_tokens: int) -> list[int]:
    """The end of the prompt for which there is room; empty where there is none."""
    room = max_tokens - answer_tokens
    return prompt[-room:] if room > 0 else []


def _kept(left: list[_T], rows: int, max_tokens: int, say: Callable[[str], None]) -> list[_T]:
    if not left:
        raise ServiceError(
            "bad_dataset",
            f"Every one of {rows} rows has an answer longer than max_tokens = {max_tokens}. Raise it.",
            param="max_tokens",
        )
    if out := rows - len(left):
        say(f"{out} of {rows} rows are left out: their answers are longer than max_tokens = {max_tokens}.")
    return left
