"""What a worker offers, and what the engine is asked for."""

import pytest

from libs.contracts.inference import ServedModel
from services.inference.offer import Offer

ONE = ServedModel(name="helpdesk", version="helpdesk@sha256:111111111111")
TWO = ServedModel(name="helpdesk", version="helpdesk@sha256:222222222222")


def test_an_engine_that_knows_versions_is_asked_for_the_version_that_a_name_has_now() -> None:
    offer = Offer((ONE,), pinned=True)
    assert offer.engine_name("helpdesk") == ONE.version
    offer.change(models=(TWO,), revision=2, error="")
    assert offer.engine_name("helpdesk") == TWO.version
    with pytest.raises(KeyError):
        offer.engine_name("other")


def test_an_engine_that_knows_names_is_asked_by_name() -> None:
    assert Offer((ONE,)).engine_name("helpdesk") == "helpdesk"


def test_only_a_change_is_announced() -> None:
    heard: list[int] = []
    offer = Offer((ONE,))
    offer.on_change = lambda: heard.append(offer.revision)
    offer.change(models=(ONE,), revision=0, error="")
    offer.change(models=(ONE,), revision=3, error="")
    offer.change(models=(ONE,), revision=3, error="no room")
    offer.change(models=(TWO,), revision=3, error="no room")
    assert heard == [3, 3, 3]
