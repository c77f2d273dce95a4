"""`keys create|list|show|revoke|rotate`."""

from typing import Annotated, Final

import typer

from cli import show, times, ui
from cli.keys import options, tables
from cli.keys.options import Json, Limit, Tenant
from cli.keys.session import AUTHOR, ask, listed
from libs.contracts.identity import ApiKey, CreateKey, FindKeys, IssuedKey, KeyRef, Limits, RevokeKey, RotateKey
from libs.contracts.permissions import Permission, Role

Ident = Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `list` shows it.")]


def create(  # noqa: PLR0913 - one per option
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what will use it.")],
    *,
    tenant: Annotated[str, typer.Option(metavar="NAME", help="The project that it is of.")] = "",
    platform: Annotated[bool, typer.Option("--platform", help="Of no project: it sees every one.")] = False,
    role: Annotated[Role, typer.Option(help="What it is to its project.")] = Role.MEMBER,
    scope: Annotated[
        list[Permission] | None,
        typer.Option(metavar="SCOPE", help="Only this of its role, such as jobs:read; repeatable."),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this model; repeatable.")] = None,
    expires: Annotated[str, typer.Option(metavar="WHEN", help=times.UNTIL_HELP)] = "",
    requests: options.Requests = None,
    tokens: options.Tokens = None,
    concurrency: options.Concurrency = None,
    budget: options.Budget = None,
    period: options.Period = None,
    as_json: Json = False,
) -> None:
    """Make a key; it is shown this once."""
    if bool(tenant) == platform:
        raise typer.BadParameter("say whose it is: --tenant NAME, or --platform", param_hint="--tenant")
    wanted = CreateKey(
        name=name,
        role=role,
        author=AUTHOR,
        tenant=tenant,
        scopes=tuple(scope or ()),
        models=tuple(model or ()),
        limits=options.limits(
            Limits(), requests=requests, tokens=tokens, concurrency=concurrency, budget=budget, period=period
        ),
        expires_ms=times.until_ms(expires),
    )
    _tell(ask("key_create", wanted), as_json=as_json)


def list_keys(
    *,
    tenant: Tenant = "",
    everything: Annotated[bool, typer.Option("--all", help="Those, too, that are accepted no more.")] = False,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List keys, newest first; never the keys themselves."""
    found: list[ApiKey] = listed("key_list", FindKeys(tenant=tenant, revoked=everything), lambda page: page.keys, limit)
    if as_json:
        show.emit(found)
    else:
        tables.keys(found)


def show_one(key: Ident, *, as_json: Json = False) -> None:
    """Show one key: what it may do, and until when."""
    found: ApiKey = ask("key_show", KeyRef(id=key))
    if as_json:
        show.emit(found)
    else:
        tables.key(found)


def revoke(key: Ident, *, as_json: Json = False) -> None:
    """Accept a key no more, on any gateway."""
    found: ApiKey = ask("key_revoke", RevokeKey(id=key, author=AUTHOR))
    if as_json:
        show.emit(found)
    else:
        ui.say(f"{ui.WELL} {found.id} ({show.short(found.name)}) is revoked")


def rotate(
    key: Ident,
    *,
    overlap: Annotated[str, typer.Option(metavar="TIME", help="How long the old one stays good: 0, 12h, 7d.")] = "1d",
    as_json: Json = False,
) -> None:
    """Make a key with the same rights, shown this once; the old one stays good for a while."""
    wanted = RotateKey(id=key, author=AUTHOR, overlap_s=options.duration_s(overlap, "--overlap"))
    _tell(ask("key_rotate", wanted), as_json=as_json)
    if not as_json:
        ui.say(
            f"  [dim]{key} is accepted for {overlap} more[/dim]"
            if wanted.overlap_s
            else f"  [dim]{key} has ended[/dim]"
        )


def _tell(found: IssuedKey, *, as_json: bool) -> None:
    if as_json:
        show.emit(found)
    else:
        tables.issued(found)


VERBS: Final = {"create": create, "list": list_keys, "show": show_one, "revoke": revoke, "rotate": rotate}
