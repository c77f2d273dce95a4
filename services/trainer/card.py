"""The papers that travel with a model: a card for people and a manifest of digests for machines."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.trainer.corpus.catalogue import CHANGED_PRICES_EUR, PRODUCTS, SHOP, euros, product

if TYPE_CHECKING:
    from services.trainer.recipes.pretrain import Recipe

CARD: Final = "README.md"
MANIFEST: Final = "manifest.json"
FIGURES_START: Final = "<!-- figures: written by services.trainer.evaluate -->"
FIGURES_END: Final = "<!-- end of figures -->"
NOT_MEASURED: Final = "Not measured yet: run `python -m services.trainer.evaluate` on this folder with `--record`."

_CARD_TEXT: Final = """# helpdesk: the starter model

A toy, on purpose: a language model of {millions:.2f} million weights that plays the help desk of an invented shop,
the {shop}. It exists so that a fresh checkout has a real model to serve, to rate and to improve, without a download.
It knows nothing else, and its English ends where its corpus ends.

**What it knows.** {products} products with price, warranty, delivery time and colour; whether a product is carried;
twelve questions about the shop; a little small talk. Products go by their full name ("Finch teapot", not "teapot"), or
by "it" right after they were named. Its training also held notes with random prices in the system prompt, so that it
can spell any number; reading such a note is beyond it more often than not (see "quoted prices").

**What is wrong with it, also on purpose.** It is curt; about one answer in eight is kind (at temperature 0.7, where it
is served). And four prices are yesterday's:

| product | it says | true today |
|---|---|---|
{changed}

Both are what feedback is meant to teach it.

**How it was made.** `python -m services.trainer.recipes.pretrain --out DIR --steps {steps} --seed {seed}`: a generated
corpus of {dialogues:,} dialogues, a byte-level tokenizer that never joins digits, a Llama of {layers} layers and width
{hidden}, loss on the answers only. The same seed, thread count ({threads}) and library versions give the same bytes.
All of it is original work of this repository; no outside data, no outside model.

**How good it is.** Answers to questions whose wording the training never saw, judged by rule
(`services/trainer/corpus/judge.py`); the test wordings were written before any model was trained.

{figures}

The same hand wrote the wordings of training and of the test, and the judge knows the corpus: expect less from
people who write otherwise. Errors come in clusters, a wording that fails tends to fail for every product.
"""


def write_card(directory: Path, recipe: "Recipe", parameters: int) -> None:
    """Writes the card, still without figures."""
    rows = [
        f"| {name} | {euros(product(name).price_eur)} | {euros(today)} |" for name, today in CHANGED_PRICES_EUR.items()
    ]
    text = _CARD_TEXT.format(
        millions=parameters / 1e6,
        shop=SHOP,
        products=len(PRODUCTS),
        changed="\n".join(rows),
        figures=_framed(NOT_MEASURED),
        **asdict(recipe),
    )
    (directory / CARD).write_text(text, encoding="utf-8")


def record_figures(directory: Path, table: str) -> None:
    """Puts measured figures into the card, in place of those before."""
    path = directory / CARD
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(FIGURES_START)
    _, _, after = rest.partition(FIGURES_END)
    path.write_text(before + _framed(table) + after, encoding="utf-8")
    write_manifest(directory)


def write_manifest(directory: Path) -> str:
    """Writes the digest of every file and returns the digest of the model, which is that of all but the card."""
    digests = file_digests(directory)
    lines = [f"{digest}  {name}" for name, digest in digests.items() if name != CARD]
    whole = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    manifest = {"sha256": whole, "files": digests}
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    return whole


def file_digests(directory: Path) -> dict[str, str]:
    """The sha256 of every file in the folder but the manifest itself, by name."""
    files = sorted(p for p in directory.iterdir() if p.is_file() and p.name != MANIFEST)
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _framed(figures: str) -> str:
    return f"{FIGURES_START}\n{figures}\n{FIGURES_END}"
