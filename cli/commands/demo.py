"""`./llmos demo`."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from cli import bring_up, served, settings, ui
from cli.rest import root_of
from deploy.local.client import Stack
from deploy.local.errors import StackError
from deploy.local.options import STARTER_NAME, options_from
from deploy.local.state import StackState
from libs.kit.clock import monotonic_s

if TYPE_CHECKING:
    from cli.mission.mission import Place
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
    once: Annotated[bool, typer.Option("--once", help="Stop everything at the end; status 0 if all is well.")] = False,
    short: Annotated[
        bool, typer.Option("--short", help="Leave out the two bad versions that are to be stopped.")
    ] = False,
    ask: Annotated[bool, typer.Option("--ask", help="Only ask some questions: nothing is learned.")] = False,
    model: Annotated[
        str | None, typer.Option(help="A model directory, or a name on Hugging Face; it is only asked.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the gateway; else a free one.")] = None,
    workers: Annotated[int | None, typer.Option(help="Number of inference workers.")] = None,
) -> None:
    """Start, ask, learn from customers, roll out, ask again; then stay up unless told otherwise."""
    stack = settings.stack()
    ours, began_s = not stack.is_running, monotonic_s()
    with ThreadPoolExecutor(1) as pool:
        talk_module = pool.submit(import_module, "cli.talk")  # a second of imports, hidden behind the start
        if ours:
            options = options_from(settings.environment(), port=port, workers=workers, model=model)
            state = bring_up.start(stack, options, attached=True)
        else:
            ui.say(f"{ui.WELL} Already up; asking that one.")
            state = bring_up.join(stack)
        try:
            if ask or state.model != STARTER_NAME:
                _ask_all(talk_module, state, stack.api_key())
            else:
                came_up_s = monotonic_s() - began_s if ours else 0.0
                place = _place(talk_module, stack, state, came_up_s)
                if not _learn(place, is_short=short, must_learn=once):
                    _ask_all(talk_module, state, stack.api_key())
        except BaseException:
            if ours:
                bring_up.take_down(stack)
            raise
    if not once:
        ui.connection(served.fill(stack, state), stack.api_key())
    if ours and once:
        bring_up.take_down(stack)
    elif ours:
        bring_up.stay(stack)


def _place(talk_module: "Future[ModuleType]", stack: Stack, state: StackState, came_up_s: float) -> "Place":
    """The stack, as the mission needs to know it."""
    # Half a second that other forms of the command need not pay.
    from cli.mission.mission import Place  # noqa: PLC0415

    talk: Talk = talk_module.result().Talk(state, stack.api_key())
    return Place(
        url=root_of(state.base_url),
        keys=(stack.api_key(), stack.admin_key()),
        name=state.model,
        folder=stack.home.root / "demo",
        ask=lambda question: _ask(talk, question, streamed=True),
        came_up_s=came_up_s,
    )


def _learn(place: "Place", *, is_short: bool, must_learn: bool) -> bool:
    """The whole loop on the starter model; whether there was anything to learn.

    Raises:
        StackError: a step did not come to what it must, or it was to learn and has learned already.
    """
    from cli.mission.mission import play  # noqa: PLC0415 - as above

    ui.say("")
    if is_short:
        ui.say("  Short form: the two bad versions, which gate and canary are to stop, are left out.\n")
    if asyncio.run(play(place, is_short=is_short)):
        return True
    text = f"{place.name} has learned already: its champion is not the starter model any more."
    remedy = "To see it learn from the beginning: LLMOS_HOME=<an empty directory> ./llmos demo"
    if must_learn:
        raise StackError(text, remedy)
    ui.say(f"  {text} It is only asked. [dim]{remedy}[/dim]")
    return False


def _ask_all(talk_module: "Future[ModuleType]", state: StackState, api_key: str) -> None:
    """Every question, the first answered in one piece, the others streamed.

    Raises:
        StackError: an answer was empty, or did not come.
    """
    talk: Talk = talk_module.result().Talk(state, api_key)
    version = f" ({state.model_version})" if state.model_version else ""
    ui.say(f"\n  Asking [bold]{state.model}[/bold]{version} through the OpenAI Python SDK\n")
    for number, question in enumerate(questions(state.model)):
        _ask(talk, question, streamed=number > 0)


def _ask(talk: "Talk", question: str, *, streamed: bool) -> str:
    """The answer to one question, shown as it comes.

    Raises:
        StackError: it was empty, or did not come.
    """
    messages: Messages = [{"role": "user", "content": question}]
    ui.out.print(Text.assemble(("  > ", "cyan"), question))
    ui.out.print(_INDENT, end="")
    if streamed:
        answer = talk.stream(messages, _print_piece)
    else:
        answer = talk.ask(messages)
        _print_piece(answer.text.strip())
    if not answer.text.strip():
        raise StackError(f"The model answered nothing to {question!r}.", "See: ./llmos logs")
    ui.out.print()
    ui.out.print(Text(f"{_INDENT}{_figures(answer)}\n", style="dim"), soft_wrap=True)
    return answer.text


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
