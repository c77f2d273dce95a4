"""`dead-letters list|show|replay|drop`."""

from typing import Annotated, Any, Final

import msgspec
import typer

from cli import show, ui
from cli.keys.options import Json, Limit
from cli.operations.rest import RestLetters
from cli.session import AUTHOR, run_with
from libs.contracts.letters import AllLetters, FindAllLetters, Letter, LetterRef, LetterText

Ident = Annotated[str, typer.Argument(metavar="LETTER", help="Its id, as `list` shows it.")]
_PAGE: Final = 200


def list_letters(
    *,
    service: Annotated[str, typer.Option(metavar="NAME", help="Only of this service.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List what services could not take in, and why."""

    async def work(letters: RestLetters) -> AllLetters:
        found: list[Letter] = []
        after, away = "", set()
        while len(found) < limit:
            asked = FindAllLetters(service=service, after=after, limit=min(_PAGE, limit - len(found)))
            page: AllLetters = await letters.call("letter_list", asked)
            found += page.letters
            away |= {*page.away}
            after = page.next
            if not after:
                break
        return AllLetters(letters=tuple(found), away=tuple(sorted(away)))

    found = run_with(RestLetters, work)
    if as_json:
        show.emit(found)
        return
    show.table(
        ("letter", "since", "what", "id of the message", "size", "reason"), [_line(one) for one in found.letters]
    )
    for name in found.away:
        ui.say(f"  {ui.BAD} {name} does not answer: there may be more")


def show_one(
    letter: Ident,
    *,
    payload: Annotated[bool, typer.Option("--payload", help="Its words, too; that is audited.")] = False,
    as_json: Json = False,
) -> None:
    """Show one dead letter."""
    if not payload:
        found: Letter = _ask("letter_show", letter)
        show.emit(found) if as_json else show.facts(_facts(found))
        return
    text: LetterText = _ask("letter_read", letter)
    if as_json:
        show.emit(text)
        return
    show.facts(_facts(text.letter))
    ui.say("")
    ui.say(show.plain(text.payload))


def replay(letter: Ident, *, as_json: Json = False) -> None:
    """Have the service take it in after all; recorded once, however often this is repeated."""
    found: Letter = _ask("letter_replay", letter)
    waits = "waits for what it refers to; if that does not come, it is a dead letter again"
    _tell(found, waits if found.waits else "is taken in", as_json=as_json)


def drop(letter: Ident, *, as_json: Json = False) -> None:
    """Forget a dead letter for good."""
    _tell(_ask("letter_drop", letter), "is forgotten", as_json=as_json)


def _ask(operation: str, letter: str) -> Any:
    asked: msgspec.Struct = LetterRef(id=letter, author=AUTHOR)

    async def work(letters: RestLetters) -> Any:
        return await letters.call(operation, asked)

    return run_with(RestLetters, work)


def _tell(found: Letter, what: str, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
    else:
        ui.say(f"{ui.WELL} {found.id} {what}")


def _line(one: Letter) -> tuple[str, ...]:
    return (one.id, show.when(one.time_ms), show.plain(one.subject), show.short(one.message_id, 40),
            show.size(one.size_bytes), show.short(one.reason, 80))  # fmt: skip


def _facts(found: Letter) -> tuple[tuple[str, str], ...]:
    return (
        ("Letter", found.id),
        ("Service", show.plain(found.service)),
        ("Came through", show.plain(found.consumer)),
        ("What", show.plain(found.subject)),
        ("Id of the message", show.plain(found.message_id)),
        ("Said", show.when(found.stored_ms) if found.stored_ms else ""),
        ("Given up", show.when(found.time_ms)),
        ("Reason", show.plain(found.reason)),
        ("Size", show.size(found.size_bytes)),
        ("SHA-256", found.digest),
    )


VERBS: Final = {"list": list_letters, "show": show_one, "replay": replay, "drop": drop}
