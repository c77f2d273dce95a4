"""Ports: configured, else those of last time, else free ones."""

import socket
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.errors import StackError
from deploy.local.home import Home
from libs.testkit.ports import free_port


def _home(path: Path) -> Home:
    home = Home(path)
    home.prepare()
    return home


def test_every_name_gets_its_own_free_port(tmp_path: Path) -> None:
    chosen = ports.choose(_home(tmp_path), {})

    assert set(chosen) == set(ports.NAMES)
    assert len(set(chosen.values())) == len(chosen)
    assert all(map(ports.is_free, chosen.values()))


def test_ports_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    home = _home(tmp_path)

    assert ports.choose(home, {}) == ports.choose(home, {})


def test_a_port_that_was_taken_meanwhile_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    home = _home(tmp_path)
    before = ports.choose(home, {})
    with socket.create_server((ports.HOST, before["nats"])):
        after = ports.choose(home, {})

    assert after["nats"] != before["nats"]
    assert {name for name in ports.NAMES if after[name] != before[name]} == {"nats"}


def test_a_configured_port_is_taken_even_when_another_was_remembered(tmp_path: Path) -> None:
    home = _home(tmp_path)
    ports.choose(home, {})
    wanted = free_port()

    assert ports.choose(home, {"gateway": wanted})["gateway"] == wanted


def test_a_configured_port_in_use_is_an_error_that_names_it(tmp_path: Path) -> None:
    with socket.create_server((ports.HOST, 0)) as server:
        busy = server.getsockname()[1]
        with pytest.raises(StackError, match=str(busy)):
            ports.choose(_home(tmp_path), {"gateway": busy})


def test_two_homes_do_not_begin_at_the_same_place(tmp_path: Path) -> None:
    one, other = (ports.choose(_home(tmp_path / name), {"gateway": free_port()}) for name in ("a", "b"))

    assert not set(one.values()) & set(other.values())


def test_a_broken_note_is_as_good_as_none(tmp_path: Path) -> None:
    home = _home(tmp_path)
    home.ports_file.write_text('{"nats": "many"')

    assert set(ports.choose(home, {})) == set(ports.NAMES)
