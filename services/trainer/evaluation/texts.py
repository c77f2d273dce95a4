"""Measures of one text against its references: exact match, token F1, labels, ROUGE-L, BLEU's counts.

Exact match and token F1 are those of SQuAD 1.1 (Rajpurkar et al. 2016, arXiv:1606.05250): lower case, without
punctuation, articles and spare blanks; the best of several references counts. A text of nothing but articles keeps
them, or else the choice "A" would equal an empty answer.
"""

import re
import string
from collections.abc import Sequence
from typing import Any, Final

from rouge_score import rouge_scorer  # type: ignore[import-untyped] # it ships no types
from sacrebleu.metrics.bleu import BLEU

from libs.kit.words import f1

BLEU_ORDER: Final = 4
BLEU_COLUMNS: Final = 2 * BLEU_ORDER + 2
"""Matches and totals of each order, length of the answer, length of the closest reference."""
_ROUGE_WORDS: Final = 1_000
"""Longer texts are compared by their beginning, for the longest common subsequence takes quadratic time."""
_BLEU_CHARACTERS: Final = 50_000
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_WORD: Final = re.compile(r"\w+")


class _Words:
    """Words in any script; rouge-score's own tokenizer knows only a to z."""

    def tokenize(self, text: str) -> list[str]:
        return _WORD.findall(text.lower())[:_ROUGE_WORDS]


_ROUGE: Final = rouge_scorer.RougeScorer(["rougeL"], tokenizer=_Words())
# Effective order has no say in the counts; it keeps sacrebleu from warning at each sentence.
_BLEU: Final = BLEU(effective_order=True)


def normalised(text: str) -> str:
    """As SQuAD compares texts."""
    plain = _plain(text)
    return " ".join(_ARTICLES.sub(" ", plain).split()) or plain


def exact_match(text: str, references: Sequence[str]) -> float:
    """1 if it equals a reference, else 0."""
    said = normalised(text)
    return float(any(said == normalised(reference) for reference in references))


def token_f1(text: str, references: Sequence[str]) -> float:
    """Harmonic mean of precision and recall of words, against the closest reference."""
    said = normalised(text).split()
    return max(f1(said, normalised(reference).split()) for reference in references)


def rouge_l(text: str, references: Sequence[str]) -> float:
    """F-measure of the longest common subsequence of words, against the closest reference (Lin 2004)."""
    return max(float(_ROUGE.score(reference, text)["rougeL"].fmeasure) for reference in references)


def bleu_counts(text: str, references: Sequence[str]) -> list[float]:
    """What corpus BLEU adds up over sentences: `BLEU_COLUMNS` numbers."""
    cut = [reference[:_BLEU_CHARACTERS] for reference in references]
    found: Any = _BLEU.sentence_score(text[:_BLEU_CHARACTERS], cut)
    return [*map(float, found.counts), *map(float, found.totals), float(found.sys_len), float(found.ref_len)]


def label_of(text: str, labels: Sequence[str]) -> str:
    """The label that it names: the whole text, or else the only one that occurs in it as words; else nothing."""
    said = _plain(text)
    by_text = {_plain(label): label for label in labels}
    if said in by_text:
        return by_text[said]
    padded = f" {said} "
    named = [label for words, label in by_text.items() if words and f" {words} " in padded]
    return named[0] if len(named) == 1 else ""


def _plain(text: str) -> str:
    return " ".join(text.lower().translate(_PUNCTUATION).split())
