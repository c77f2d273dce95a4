"""How interactions, judgements and statistics are shown to people; all text in them is somebody else's."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from rich.text import Text

from cli import show, ui
from libs.contracts.feedback import DeadLetter, Interaction, Signal, SignalKind, StatisticsRow

_FEW: Final = 4
_NAMES: Final = {SignalKind.DEMONSTRATION: "better"}
_ROLES: Final = {"user": "cyan", "assistant": "green", "system": "dim", "tool": "dim"}


def interactions(found: Iterable[Interaction]) -> None:
    """A list of interactions."""
    rows = [
        (show.when(each.time_ms), show.plain(each.inference_id), show.plain(each.model_version or each.model),
         show.short(_last_text(each.messages), 40), show.short(_text(msgspec.json.decode(each.answer)), 40),
         summary(each.signals) + (" …" if each.partial else ""))
        for each in found
    ]  # fmt: skip
    show.table(("time", "id", "version", "asked", "answered", "judged"), rows)


def interaction(found: Interaction) -> None:
    """One interaction, whole."""
    show.facts(
        (
            ("Id", show.plain(found.inference_id)),
            ("Time", show.when(found.time_ms)),
            ("Tenant", show.plain(found.tenant)),
            ("User", show.plain(found.user)),
            ("Episode", show.plain(found.episode_id)),
            ("Version", show.plain(found.model_version or found.model)),
            ("Outcome", found.outcome),
            ("Tokens", f"{found.prompt_tokens} in, {found.completion_tokens} out"),
            ("Took", f"{found.total_ms} ms, the first byte {found.first_byte_ms} ms"),
        )
    )
    messages = msgspec.json.decode(found.messages)
    answer = msgspec.json.decode(found.answer)
    ui.say("")
    if found.erased:
        ui.say("  [yellow]Its text was erased.[/yellow]")
    elif found.partial and messages is None:
        ui.say("  [yellow]Its text is larger than one message and is not shown.[/yellow]")
    elif messages is None and answer is None:
        ui.say("  [dim]No text is kept: that is what FEEDBACK_CONTENT and GATEWAY_CAPTURE_CONTENT say.[/dim]")
    for message in [*(messages if isinstance(messages, list) else []), *([answer] if answer else [])]:
        _say_message(message)
    if found.signals:
        ui.say("")
        signals(found.signals)
    if found.partial:
        ui.say("  [yellow]There are more judgements than one message holds: these are the newest.[/yellow]")


def signals(found: Sequence[Signal]) -> None:
    """Judgements."""
    rows = [
        (show.when(each.time_ms), judgement(each), show.plain(each.rater), each.source, f"{each.weight:g}",
         show.plain(", ".join(each.tags)), "superseded" if each.superseded_by else "", each.id)
        for each in found
    ]  # fmt: skip
    show.table(("time", "judged", "rater", "source", "weight", "tags", "", "id"), rows)


def summary(found: Sequence[Signal]) -> str:
    """Judgements that hold, in one line: each of a few, else how many of each kind."""
    gone = {each.supersedes for each in found}
    held = [each for each in found if each.id not in gone and not each.superseded_by]
    if len(held) <= _FEW:
        return ", ".join(judgement(each) for each in held)
    kinds = Counter(
        (judgement(each) if each.kind is SignalKind.THUMB else _NAMES.get(each.kind, each.kind.value)) for each in held
    )
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def judgement(signal: Signal) -> str:
    """A judgement in a few words."""
    if signal.kind is SignalKind.THUMB:
        return "[green]up[/green]" if signal.value else "[red]down[/red]"
    if signal.kind is SignalKind.SCORE:
        return f"{signal.value:g}"
    return f"{_NAMES.get(signal.kind, signal.kind.value)}: {show.short(str(signal.value), 40)}"


def statistics(found: Iterable[StatisticsRow], groups: Sequence[str]) -> None:
    """One line per group."""
    rows = [
        (*(show.plain(each.group.get(name, "")) for name in groups), str(each.interactions), str(each.thumbs_up),
         str(each.thumbs_down), approval(each), str(each.scores),
         "" if each.score_mean is None else f"{each.score_mean:.2f}", str(each.comments), str(each.demonstrations),
         str(each.implicit))
        for each in found
    ]  # fmt: skip
    titles = ("asked for", "up", "down", "approval", "scores", "mean", "comments", "better", "implicit")
    show.table((*groups, *titles), rows)


def approval(row: StatisticsRow) -> str:
    """Share of thumbs up with its interval; empty without any thumb."""
    if row.approval is None or row.approval_low is None or row.approval_high is None:
        return ""
    return f"{row.approval:.0%} ({row.approval_low:.0%} to {row.approval_high:.0%})"


def dead_letters(found: Iterable[DeadLetter]) -> None:
    """What could not be taken in."""
    rows = [(show.when(each.time_ms), each.code, show.plain(each.reason), show.short(each.payload)) for each in found]
    show.table(("time", "code", "reason", "message"), rows)


def _say_message(message: Any) -> None:
    role = str(message.get("role", "?")) if isinstance(message, dict) else "?"
    text = show.unmarked(_text(message))
    ui.out.print(Text.assemble(("  " + show.unmarked(role) + "  ", _ROLES.get(role, "dim")), text), soft_wrap=True)
    calls = message.get("tool_calls") if isinstance(message, dict) else None
    if calls:
        ui.out.print(Text(f"    calls {show.unmarked(msgspec.json.encode(calls).decode())}", style="dim"))


def _last_text(messages: msgspec.Raw) -> str:
    found = msgspec.json.decode(messages)
    return _text(found[-1]) if isinstance(found, list) and found else ""


def _text(message: Any) -> str:
    """The text of a chat message, whichever way it is written."""
    content = message.get("content") if isinstance(message, dict) else message
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return "" if content is None else str(content)
