"""What is made of values: the same by a maker as by the class."""

from __future__ import annotations

from dataclasses import field, replace

import pytest

from session_router.core.decision import Candidate, new_candidate
from session_router.core.model import ModelName
from session_router.core.need import new_need
from session_router.core.session import Session, SessionId, new_session
from session_router.core.value import maker, value
from session_router.errors import ConfigurationError

NAME, ID = ModelName("fast"), SessionId("0" * 64)


@value
class Basket:
    owner: str
    fruits: dict[str, int] = field(default_factory=dict[str, int])
    price: float = 0.5


new_basket = maker(Basket)


def test_a_maker_makes_what_the_class_makes() -> None:
    assert new_basket(owner="Ada") == Basket(owner="Ada")
    assert new_basket(owner="Ada", fruits={"pear": 2}, price=1.0) == Basket(owner="Ada", fruits={"pear": 2}, price=1.0)
    assert type(new_basket(owner="Ada")) is Basket
    assert new_candidate(model=NAME, cached=3) == Candidate(model=NAME, cached=3)
    assert new_session(id=ID) == Session(id=ID)
    assert replace(new_session(id=ID), version=2) == Session(id=ID, version=2)


def test_what_is_made_shares_no_default_that_may_grow() -> None:
    one, other = new_basket(owner="Ada"), new_basket(owner="Ben")
    one.fruits["pear"] = 1
    assert other.fruits == {}


def test_a_maker_takes_what_the_class_takes() -> None:
    with pytest.raises(TypeError, match="owner"):
        new_basket()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] -- on purpose
    with pytest.raises(TypeError, match="positional"):
        new_basket("Ada")  # type: ignore[misc,call-arg] # pyright: ignore[reportCallIssue] -- on purpose
    with pytest.raises(TypeError, match="colour"):
        new_basket(owner="Ada", colour="red")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue] -- on purpose


def test_a_maker_checks_what_the_class_checks() -> None:
    with pytest.raises(ConfigurationError, match="p_success"):
        new_need(p_success=2.0)
