"""How the command speaks: one console, few words, colour only where it means something."""

import sys
from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.local.state import PartPhase, StackState

_WIDTH: Final = 160
"""Columns where nobody looks at a terminal: wide enough for every table."""
out: Final = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
err: Final = Console(highlight=False, stderr=True)

WELL: Final = "[green]✓[/green]"
BAD: Final = "[red]✗[/red]"
DOUBTFUL: Final = "[yellow]![/yellow]"
SYMBOLS: Final = {
    PartPhase.READY: WELL,
    PartPhase.DONE: WELL,
    PartPhase.FAILED: BAD,
    PartPhase.RESTARTING: "[yellow]↻[/yellow]",
    PartPhase.STOPPED: "[dim]·[/dim]",
    PartPhase.WAITING: "[dim]·[/dim]",
}


def fail(message: str, remedy: str = "") -> None:
    """Say what happened and what to do."""
    err.print(Text.assemble(("✗ ", "bold red"), message), soft_wrap=True)
    if remedy:
        err.print(Text(f"  {remedy}", style="dim"), soft_wrap=True)


def say(text: str) -> None:
    """One line, with markup."""
    out.print(text, soft_wrap=True)


def help_page(commands: Mapping[str, str]) -> None:
    """What `./llmos` alone prints."""
    table = Table.grid(padding=(0, 3))
    for name, sentence in commands.items():
        table.add_row(f"  [bold]{name}[/bold]", sentence)
    out.print("\n[bold]llmos[/bold]  an operating system for language models\n")
    out.print(table)
    out.print("\n[dim]  ./llmos COMMAND --help tells the options of a command.[/dim]\n")


def connection(state: StackState, api_key: str) -> None:
    """How to reach the stack, ready to be pasted."""
    table = Table.grid(padding=(0, 3))
    model = f"{state.model}  [dim]{state.model_version}[/dim]" if state.model_version else state.model
    for key, value in (("Base URL", state.base_url), ("API key", api_key), ("Model", model)):
        table.add_row(f"  [dim]{key}[/dim]", value)
    out.print()
    out.print(table)
    out.print("\n[dim]  Paste this, and every OpenAI client talks to it:[/dim]\n")
    # Unwrapped, so that what is copied from a narrow terminal is still one command.
    out.print(f"  export OPENAI_BASE_URL={state.base_url} OPENAI_API_KEY={api_key}", soft_wrap=True)
    out.print()
