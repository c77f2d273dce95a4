"""`webhooks create|list|show|change|rotate|deliveries|replay|delete`."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer

from cli import show, ui
from cli.events.session import AUTHOR, ask
from libs.contracts.webhooks import (
    ChangeWebhook,
    CreateWebhook,
    Delivery,
    DeliveryPage,
    DeliveryState,
    FindDeliveries,
    FindWebhooks,
    IssuedWebhook,
    Replay,
    Replayed,
    RotateSecret,
    Webhook,
    WebhookPage,
    WebhookRef,
)

Hook = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Its id.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only these; `*` stands for anything. May be repeated.")
]
Limit = Annotated[int, typer.Option(min=1, max=1_000, help="At most so many, the newest.")]
_STATES: Final = {
    DeliveryState.PENDING: "[cyan]…[/cyan]",
    DeliveryState.DELIVERED: ui.WELL,
    DeliveryState.DEAD: ui.BAD,
}


def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where events are sent to.")],
    *,
    types: Types = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    tenant: Annotated[str, typer.Option(help="Whose events; without it, everybody's that the key may see.")] = "",
    as_json: Json = False,
) -> None:
    """Have events sent to an address from now on; prints the secret, this once."""
    asked = CreateWebhook(url=url, author=AUTHOR, tenant=tenant, types=tuple(types or ()), description=description)
    _issued(ask("webhook_create", asked), as_json=as_json)


def list_webhooks(
    *,
    tenant: Annotated[str, typer.Option(help="Only of this tenant.")] = "",
    limit: Limit = 100,
    as_json: Json = False,
) -> None:
    """List webhooks, newest first."""
    page: WebhookPage = ask("webhook_list", FindWebhooks(tenant=tenant, limit=limit))
    if as_json:
        show.emit(page.webhooks)
        return
    rows = [
        (ui.BAD if each.is_disabled else ui.WELL, each.id, show.short(each.url), show.plain(each.tenant),
         show.short(", ".join(each.types) or "all"), show.when(each.created_ms), show.short(each.disabled_reason))
        for each in page.webhooks
    ]  # fmt: skip
    show.table(("", "webhook", "url", "tenant", "types", "since", "disabled for"), rows)


def show_one(webhook: Hook, *, as_json: Json = False) -> None:
    """Show one webhook."""
    _told(ask("webhook_show", WebhookRef(id=webhook)), as_json=as_json)


def change(
    webhook: Hook,
    *,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    types: Types = None,
    disable: Annotated[bool | None, typer.Option("--disable/--enable", help="Send nothing, or send again.")] = None,
    as_json: Json = False,
) -> None:
    """Change its address or its types; disable it, or enable it again."""
    wanted = tuple(types) if types else None
    asked = ChangeWebhook(id=webhook, author=AUTHOR, url=url, types=wanted, disabled=disable)
    _told(ask("webhook_change", asked), as_json=as_json)


def rotate(
    webhook: Hook,
    *,
    overlap_s: Annotated[int, typer.Option(min=0, help="How long the old secret signs, too.")] = 86_400,
    as_json: Json = False,
) -> None:
    """Make a new secret; prints it, this once."""
    asked = RotateSecret(id=webhook, author=AUTHOR, overlap_s=overlap_s)
    _issued(ask("webhook_rotate", asked), as_json=as_json)


def deliveries(
    webhook: Hook,
    *,
    state: Annotated[DeliveryState | None, typer.Option(help="Only these.")] = None,
    limit: Limit = 20,
    as_json: Json = False,
) -> None:
    """List what was sent or is to be, newest first."""
    page: DeliveryPage = ask("delivery_list", FindDeliveries(webhook=webhook, state=state, limit=limit))
    if as_json:
        show.emit(page.deliveries)
    else:
        _deliveries(page.deliveries)


def replay(
    webhook: Hook,
    delivery: Annotated[
        str, typer.Argument(metavar="[DELIVERY]", help="One; without it, all that were given up.")
    ] = "",
    *,
    as_json: Json = False,
) -> None:
    """Send again: one delivery, or all that were given up."""
    found: Replayed = ask("delivery_replay", Replay(webhook=webhook, author=AUTHOR, delivery=delivery))
    if as_json:
        show.emit(found)
    else:
        ui.say(f"{ui.WELL} {found.deliveries} will be sent again")


def delete(webhook: Hook) -> None:
    """Send nothing more there, and forget what was sent."""
    ask("webhook_delete", WebhookRef(id=webhook))
    ui.say(f"{ui.WELL} {show.plain(webhook)} is gone")


def _issued(found: IssuedWebhook, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
        return
    _webhook(found.webhook)
    ui.say(f"  Its secret, shown this once: {show.plain(found.secret)}")


def _told(found: Webhook, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
    else:
        _webhook(found)


def _webhook(found: Webhook) -> None:
    show.facts(
        (
            ("Webhook", found.id),
            ("URL", show.plain(found.url)),
            ("Tenant", show.plain(found.tenant or "all, and the platform")),
            ("Types", show.plain(", ".join(found.types) or "all")),
            ("For", show.plain(found.description)),
            ("Made by", show.plain(found.author)),
            ("Since", show.when(found.created_ms)),
            ("Disabled", show.plain(found.disabled_reason) if found.is_disabled else ""),
        )
    )


def _deliveries(found: Iterable[Delivery]) -> None:
    rows = [
        (_STATES[each.state], each.id, each.state.value, show.plain(each.type), show.plain(each.event_id),
         str(each.attempts), show.when(each.changed_ms), show.short(each.error))
        for each in found
    ]  # fmt: skip
    show.table(("", "delivery", "state", "type", "event", "attempts", "changed", "error"), rows)


VERBS: Final = {
    "create": create,
    "list": list_webhooks,
    "show": show_one,
    "change": change,
    "rotate": rotate,
    "deliveries": deliveries,
    "replay": replay,
    "delete": delete,
}
