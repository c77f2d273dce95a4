"""Aliases: compare-and-swap, history, and that only one of many rivals wins."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from libs.contracts.registry import Alias, ListAliases, Resolve, SetAlias
from libs.kit.errors import ServiceError
from libs.testkit.models import write_model
from libs.testkit.registry import RegistryDesk, RegistryGround
from services.registry.app import Registry


def _move(target: str, **more: str | None) -> SetAlias:
    return SetAlias(**{"name": "helpdesk", "alias": "champion", "author": "ann", **more}, target=target)  # type: ignore[arg-type]


async def test_an_alias_moves_by_compare_and_swap_and_remembers(desk: RegistryDesk, tmp_path: Path) -> None:
    first, second = [await desk.publish(write_model(tmp_path / str(n), n), "helpdesk") for n in range(2)]
    assert (await desk.call("alias_set", _move("helpdesk@1", expected=""))).digest == first.digest
    assert (await desk.call("version_show", Resolve("helpdesk"))).version.aliases == ("champion",)
    with pytest.raises(ServiceError) as caught:
        await desk.call("alias_set", _move("helpdesk@2", expected=""))
    assert caught.value.code == "conflict"
    moved = await desk.call("alias_set", _move(second.reference, expected=first.digest, author="bob", reason="better"))
    assert (moved.digest, moved.generation, moved.author) == (second.digest, 2, "bob")
    assert await desk.call("alias_set", _move("helpdesk@2")) == moved
    gone = await desk.call("alias_set", _move(""))
    assert (gone.digest, gone.generation) == ("", 3)
    assert (await desk.call("alias_list", ListAliases("helpdesk"))).aliases == ()
    back = await desk.call("alias_set", _move("helpdesk@1", expected=""))
    assert back.generation == 4
    history = (await desk.call("alias_list", ListAliases("helpdesk", history_of="champion"))).aliases
    assert [(one.generation, one.digest) for one in history] == [
        (4, first.digest), (3, ""), (2, second.digest), (1, first.digest),
    ]  # fmt: skip
    assert history[2].reason == "better"


async def test_of_twenty_rivals_exactly_one_wins(desk: RegistryDesk, ground: RegistryGround, tmp_path: Path) -> None:
    versions = [await desk.publish(write_model(tmp_path / str(n), n), "helpdesk") for n in range(4)]
    await desk.call("alias_set", _move("helpdesk@1"))
    async with ground.registry():
        results = await asyncio.gather(
            *(
                desk.call("alias_set", _move(f"helpdesk@{2 + n % 3}", expected=versions[0].digest, author=f"a{n}"))
                for n in range(20)
            ),
            return_exceptions=True,
        )
    [won] = [result for result in results if isinstance(result, Alias)]
    assert {error.code for error in results if isinstance(error, ServiceError)} == {"conflict"}
    assert (await desk.call("alias_list", ListAliases("helpdesk"))).aliases == (won,)
    assert won.generation == 2


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (_move("helpdesk@7"), "version_not_found"),
        (_move("other@1"), "version_not_found"),
        (_move("helpdesk@1", alias="Upper"), "invalid_value"),
        (_move("helpdesk@1", alias="7"), "invalid_value"),
        (_move("helpdesk@1", name="../x"), "invalid_value"),
        (_move("helpdesk@1", expected="abc"), "invalid_value"),
        (_move(""), "not_found"),
    ],
)
async def test_what_makes_no_sense_is_refused(request_: SetAlias, code: str, desk: RegistryDesk) -> None:
    with pytest.raises(ServiceError) as caught:
        await desk.call("alias_set", request_)
    assert caught.value.code == code


async def test_moves_cannot_be_forgotten_even_by_hand(registry: Registry, desk: RegistryDesk, model: Path) -> None:
    await desk.publish(model, "helpdesk")
    await desk.call("alias_set", _move("helpdesk@1"))
    for statement in ("delete from registry.alias_moves", "update registry.alias_moves set author = 'eve'"):
        with pytest.raises(Exception, match="never change"):
            async with registry.database.begin() as connection:
                await connection.execute(text(statement))
