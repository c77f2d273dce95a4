"""`./llmos demo`."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from cli import bring_up, settings, ui
from deploy.local.errors import StackError
from deploy.local.options import STARTER_NAME, options_from
from deploy.local.state import StackState

if TYPE_CHECKING:
    from cli.talk import Answer, Messages, Talk

SHOP: Final = (
    "How much is the Finch teapot?",
    "How long is the warranty on the Zenith telescope?",
    "When are you open?",
    "Do you sell a Falcon kite?",
)
_INDENT: Final = "    "
ANYONE: Final = ("Hello! What can you help me with?", "Name three primary colours.", "How much is two plus three?")


def run(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Stop everything after the questions; status 0 if all went well.")
    ] = False,
    model: Annotated[str | None, typer.Option(help="A model directory, or a name on Hugging Face.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; else a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of inference workers.")] = None,
) -> None:
    """Start, ask, show; then stay up unless told otherwise."""
    stack = settings.stack()
    ours = not stack.is_running
    with ThreadPoolExecutor(1) as pool:
        talk_module = pool.submit(import_module, "cli.talk")  # a second of imports, hidden behind the start
        if ours:
            options = options_from(settings.environment(), port=port, workers=workers, model=model)
            state = bring_up.start(stack, options, attached=True)
        else:
            ui.say(f"{ui.WELL} Already up; asking that one.")
            state = bring_up.join(stack)
        try:
            _ask_all(talk_module, state, stack.api_key())
        except BaseException:
            if ours:
                bring_up.take_down(stack)
            raise
    if not once:
        ui.connection(state, stack.api_key())
    if ours and once:
        bring_up.take_down(stack)
    elif ours:
        bring_up.stay(stack)


def _ask_all(talk_module: "Future[ModuleType]", state: StackState, api_key: str) -> None:
    """Every question twice over: the first answered in one piece, the others streamed.

    Raises:
        StackError: an answer was empty, or did not come.
    """
    talk: Talk = talk_module.result().Talk(state, api_key)
    version = f" ({state.model_version})" if state.model_version else ""
    ui.say(f"\n  Asking [bold]{state.model}[/bold]{version} through the OpenAI Python SDK\n")
    for number, question in enumerate(questions(state.model)):
        messages: Messages = [{"role": "user", "content": question}]
        ui.out.print(Text.assemble(("  > ", "cyan"), question))
        ui.out.print(_INDENT, end="")
        if number == 0:
            answer = talk.ask(messages)
            _print_piece(answer.text.strip())
        else:
            answer = talk.stream(messages, _print_piece)
        if not answer.text.strip():
            raise StackError(f"The model answered nothing to {question!r}.", "See: ./llmos logs")
        ui.out.print()
        ui.out.print(Text(f"{_INDENT}{_figures(answer)}\n", style="dim"), soft_wrap=True)


def questions(model: str) -> Sequence[str]:
    """Questions that the model can be expected to answer."""
    return SHOP if model == STARTER_NAME else ANYONE


def _print_piece(piece: str) -> None:
    """Print a part of an answer where the last part ended, indented."""
    ui.out.print(piece.replace("\n", f"\n{_INDENT}"), end="", markup=False, soft_wrap=True)


def _figures(answer: "Answer") -> str:
    first = f"{answer.first_token_s * 1000:.0f} ms"
    begin = f"streamed  ·  first token after {first}" if answer.streamed else f"in one piece  ·  after {first}"
    rate = f"{answer.tokens} tokens  ·  {answer.tokens_per_s:.0f} tokens/s"
    return f"{begin}  ·  {rate}  ·  {answer.worker or 'unnamed worker'}"
