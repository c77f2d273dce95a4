"""Renders chat templates as Hugging Face does; run as a program it renders one, under limits of time and memory.

Nothing of the platform is imported here, so that the program can be started alone: a template is from a stranger, and
may well ask for an hour or for all memory. It reads the template from its standard input and writes one line: empty
if all is well, else what is wrong.
"""

import json
import resource
import sys
from datetime import datetime
from typing import Any, Final

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

CPU_S: Final = 5
MEMORY_BYTES: Final = 1 << 30
MAX_RENDERED: Final = 1 << 20
"""Characters; the conversation has a hundred."""
TOO_MUCH: Final = "it asks for more memory, or writes more, than a conversation of three lines needs"

_SAID: Final = "hello there"
_TOKENS: Final = {
    "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "sep_token": "<sep>",
    "cls_token": "<cls>", "mask_token": "<mask>",
}  # fmt: skip
_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Looks something up.",
        "parameters": {"type": "object", "properties": {"what": {"type": "string", "description": "What."}}},
    },
}
_DOCUMENT: Final = {"title": "A title", "text": "A text."}


class _Generation(Extension):
    """`{% generation %}` marks the model's own words in Hugging Face templates; it prints its body."""

    tags = {"generation"}  # noqa: RUF012 - the base class's shape

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Read the tag and its body."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def environment() -> ImmutableSandboxedEnvironment:
    """The sandbox in which Hugging Face renders templates, with what it offers to them."""
    made = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _raise
    made.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return made


def fault_of(source: str) -> str:
    """What is wrong with a template, found by rendering short conversations; empty if nothing is."""
    try:
        template = environment().from_string(source)
        faults = []
        for lists in (False, True):
            for more in ({}, {"tools": [_TOOL], "documents": [_DOCUMENT]}):
                fault = _fault(template, lists=lists, more=more)
                if not fault:
                    return ""
                faults.append(fault)
    except (MemoryError, RecursionError):
        return TOO_MUCH
    # The plain conversation comes first, and is what most people will hear of.
    return faults[0]


def _fault(template: Any, *, lists: bool, more: dict[str, Any]) -> str:
    """Render one conversation; `lists` writes what is said as a list of parts, as models that see pictures want it."""

    def says(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text}] if lists else text}

    messages = [says("user", _SAID), says("assistant", "how can I help?"), says("user", "thank you")]
    given = {"messages": messages, "add_generation_prompt": True, "tools": None, "documents": None, **_TOKENS, **more}
    length, seen = 0, []
    try:
        for part in template.generate(**given):
            length += len(part)
            if length > MAX_RENDERED:
                return TOO_MUCH
            seen.append(part)
    except (MemoryError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - a template may raise whatever Python can
        return f"it cannot render a conversation of three lines: {type(error).__name__}: {error}"
    return "" if _SAID in "".join(seen).lower() else "it leaves out what the user said"


def _tojson(value: Any, ensure_ascii: bool = False, **more: Any) -> str:  # noqa: FBT001, FBT002 - Hugging Face's own shape
    return json.dumps(value, ensure_ascii=ensure_ascii, **more)


def _raise(message: str) -> None:
    raise TemplateError(message)


def main() -> None:
    """Judge the template on standard input."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source = sys.stdin.buffer.read().decode("utf-8")
    print(" ".join(fault_of(source).split())[:300])  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
