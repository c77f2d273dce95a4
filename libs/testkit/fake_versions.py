"""Directories for the fake engine, and what it answers with them."""

import json
from pathlib import Path

from libs.testkit import fake_engine, fake_weights

QUESTION = [{"role": "user", "content": "hello"}]


def make_weights(directory: Path, text: str, **hooks: object) -> Path:
    """A directory whose content, and so whose answers, depend on `text`; hooks as in `fake_weights`."""
    directory.mkdir(parents=True)
    (directory / "weights.txt").write_text(text, encoding="utf-8")
    if hooks:
        (directory / fake_weights.HOOKS).write_text(json.dumps(hooks), encoding="utf-8")
    return directory


def expected(*directories: Path, tokens: int = 16) -> str:
    """The answer to `QUESTION` of a base, or of a base and an adapter on it, started cold."""
    return fake_engine.text_of(QUESTION, fake_weights.tag_of(*directories), tokens)
