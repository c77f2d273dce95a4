"""`python -m benchmarks.redaction FOLDER…`: what the recognisers of personal data find in text that people wrote.

Texts are cut into passages, and each different passage counts once. Without labels the findings are counted by kind.
`--samples 40` prints so many of each kind, `--passages 100` so many passages with their findings in brackets, for a
person to judge. The judgements are lines of a file, tabs between words, which is kept where the text is:

    PASSAGE <tab> KIND <tab> yes <tab> TEXT    it is one (if it is not found, it was missed)
    PASSAGE <tab> KIND <tab> no <tab> TEXT     it is none
    PASSAGE <tab> read                         everything in this passage is judged: it counts for the recall

With `--labels FILE` come precision (of the judged findings, how many are right) and recall (of what is there in the
passages that were read, how much is found). The text goes nowhere but to the terminal.
"""

import argparse
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from services.feedback.datasets.recognisers import NOTHING, RECOGNISERS, Found, find
from services.feedback.domain.wilson import interval

_SUFFIXES: Final = (".md", ".rst", ".txt", ".html", ".eml", "")
_MOST_FILE_BYTES: Final = 2 << 20
_PASSAGE_LENGTH: Final = 1_200
_AROUND: Final = 40
_WORD: Final = re.compile(r"\w+")
_PARAGRAPHS: Final = re.compile(r"\n\s*\n")
_LABEL_FIELDS: Final = 4
KINDS: Final = tuple(dict.fromkeys(one.kind for one in RECOGNISERS if one.kind != NOTHING))


class Passage(NamedTuple):
    """A piece of a text, and what the recognisers find in it."""

    id: str
    text: str
    found: list[Found]


class Labels(NamedTuple):
    """What a person has judged."""

    pieces: dict[tuple[str, str, str], bool]
    """Whether a text in a passage is of a kind."""
    read: set[str]


def main() -> None:
    """Print what is asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.redaction", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--samples", type=int, default=0, help="different findings of each kind to print")
    parser.add_argument("--passages", type=int, default=0, help="passages to print")
    parser.add_argument("--about", default=r"[0-9@]", help="only passages with this pattern, case ignored")
    parser.add_argument("--labels", type=Path)
    choice = parser.parse_args()
    passages = list(_passages(choice.folders))
    if choice.samples:
        _print_samples(passages, choice.samples)
    elif choice.passages:
        _print_passages(passages, choice.passages, re.compile(choice.about, re.IGNORECASE))
    else:
        print("\n".join(_table(passages, _labels(choice.labels))))


def _passages(folders: Iterable[Path]) -> Iterator[Passage]:
    """Every different passage, in an order that looks like chance and is always the same."""
    texts: dict[str, str] = {}
    for path in (path for folder in folders for path in folder.rglob("*")):
        if path.suffix.lower() in _SUFFIXES and path.is_file() and path.stat().st_size <= _MOST_FILE_BYTES:
            data = path.read_bytes()
            if b"\0" not in data:
                for text in _cut(data.decode(errors="replace")):
                    texts[hashlib.blake2b(text.encode(), digest_size=6).hexdigest()] = text
    for id_, text in sorted(texts.items()):
        yield Passage(id_, text, find(text))


def _cut(text: str) -> Iterator[str]:
    """Paragraphs, as many together as fit into one passage; a longer one is a passage of its own."""
    held = ""
    for paragraph in _PARAGRAPHS.split(text.replace("\r\n", "\n")):
        if held and len(held) + len(paragraph) > _PASSAGE_LENGTH:
            yield held
            held = ""
        held += f"{paragraph}\n\n"
    if held.strip():
        yield held


def _print_samples(passages: list[Passage], count: int) -> None:
    by_kind: dict[str, list[str]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for passage in passages:
        for one in passage.found:
            if len(by_kind[one.kind]) < count and (one.kind, one.value) not in seen:
                seen.add((one.kind, one.value))
                piece = _flat(passage.text[one.start : one.end])
                around = f"{passage.text[max(0, one.start - _AROUND) : one.start]}[…]"
                around += passage.text[one.end : one.end + _AROUND]
                by_kind[one.kind].append(f"{passage.id}\t{one.kind}\t?\t{piece}\t{_flat(around)}")
    print("\n".join(line for lines in by_kind.values() for line in lines))


def _print_passages(passages: list[Passage], count: int, about: re.Pattern[str]) -> None:
    for passage in [one for one in passages if about.search(one.text)][:count]:
        parts, at = [], 0
        for one in passage.found:
            parts += [passage.text[at : one.start], f"⟦{one.kind}:{passage.text[one.start : one.end]}⟧"]
            at = one.end
        print(f"--- {passage.id}\n{''.join([*parts, passage.text[at:]]).strip()}")


def _labels(path: Path | None) -> Labels:
    labels = Labels({}, set())
    for line in path.read_text(encoding="utf-8").splitlines() if path else ():
        fields = line.split("\t")
        if fields[1:] == ["read"]:
            labels.read.add(fields[0])
        elif len(fields) >= _LABEL_FIELDS and fields[2] in ("yes", "no"):
            labels.pieces[fields[0], fields[1], fields[3]] = fields[2] == "yes"
    return labels


def _table(passages: list[Passage], labels: Labels) -> list[str]:
    words = sum(len(_WORD.findall(passage.text)) for passage in passages)
    found = {
        (passage.id, one.kind, _flat(passage.text[one.start : one.end]))
        for passage in passages
        for one in passage.found
    }
    known = {passage.id for passage in passages}
    pieces = {piece: real for piece, real in labels.pieces.items() if piece[0] in known}
    count = Counter(one.kind for passage in passages for one in passage.found)
    read = len(labels.read & known)
    lines = [
        f"{len(passages):,} passages, {words:,} words; {len(pieces)} judgements, {read} passages read.",
        "",
        "| kind | findings | per 10,000 words | judged | precision (95 %) | there, in what was read | recall (95 %) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        judged = [real for piece, real in pieces.items() if piece[1] == kind and piece in found]
        there = [
            piece in found for piece, real in pieces.items() if real and piece[1] == kind and piece[0] in labels.read
        ]
        rate = count[kind] / max(1, words) * 10_000
        cells = (kind, f"{count[kind]:,}", f"{rate:.2f}", len(judged), _share(judged), len(there), _share(there))
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _share(outcomes: list[bool]) -> str:
    ends = interval(sum(outcomes), len(outcomes))
    return f"{sum(outcomes) / len(outcomes):.2f} ({ends[0]:.2f} to {ends[1]:.2f})" if ends else "-"


def _flat(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    main()
