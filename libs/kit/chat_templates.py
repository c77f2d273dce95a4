"""Chat templates are programs from strangers: they are parsed in a sandbox, and what would leave it is refused."""

from typing import Final

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from libs.kit.errors import ServiceError

MAX_TEMPLATE_BYTES: Final = 1 << 20
_REACHES_OUT: Final = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Generation(Extension):
    """`{% generation %}` marks the model's own words in Hugging Face templates; it prints its body."""

    tags = {"generation"}  # noqa: RUF012 - the base class's shape

    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        """Read the tag and its body."""
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)


def check_template(path: str, source: str) -> None:
    """Accept a template that Hugging Face's own sandbox would render.

    Raises:
        ServiceError: `unsafe_file`, it is too long, is no template, loads other files or asks for Python's internals.
    """
    if len(source.encode(errors="replace")) > MAX_TEMPLATE_BYTES:
        raise ServiceError("unsafe_file", f"The chat template in {path} is longer than 1 MiB.", param=path)
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _Generation]
    )
    try:
        tree = environment.parse(source)
    except (TemplateError, RecursionError) as error:
        raise ServiceError(
            "unsafe_file", f"The chat template in {path} cannot be parsed: {str(error)[:160]}.", param=path
        ) from error
    for node in tree.find_all(nodes.Node):
        if isinstance(node, _REACHES_OUT):
            raise ServiceError("unsafe_file", f"The chat template in {path} loads another file.", param=path)
        if (name := _attribute(node)).startswith("_"):
            raise ServiceError("unsafe_file", f"The chat template in {path} asks for {name[:40]!r}.", param=path)


def _attribute(node: nodes.Node) -> str:
    """The attribute or constant key that `node` asks for; empty if it asks for none."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
        # A single underscore may well begin a key of a message; two begin Python's own names.
        return node.arg.value if node.arg.value.startswith("__") else ""
    return ""
