"""Nobody finds what belongs to somebody else, however alike the two are, and a partition that is broken is told."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import pytest

from benchmarks._cache_isolation import a_cache, attacked
from session_router.cache.partition import Partitions
from session_router.cache.semantic import SemanticCache
from session_router.core.cached import CacheMiss
from session_router.testing import ResponseCacheSuite
from session_router.testing.cached import CONFUSABLE, UNTRUSTED, a_question, apart_by
from support.unsound_caches import KEY, forgetful

LAW = ResponseCacheSuite.test_nothing_crosses_by_a_little
LOOK_UPS = 1_000


class Suite(ResponseCacheSuite):
    """Only laws that need nothing of a cache but the port."""


@pytest.mark.parametrize("similar", [False, True])
def test_attacks_find_nothing(*, similar: bool) -> None:
    found = attacked(LOOK_UPS, similar=similar)
    assert found.crossed == 0
    assert found.look_ups == LOOK_UPS
    assert found.hits > LOOK_UPS / 10, "without hits that are due, the rest means nothing"
    assert (found.similar > LOOK_UPS / 20) is similar


@pytest.mark.parametrize("broken", ["lengths", "scope", "tag_class", "before", "tools", "locale"])
def test_attacks_find_what_is_broken(broken: str) -> None:
    assert attacked(LOOK_UPS, similar=False, broken=broken).crossed > 0


# Epochs and classes of models are checked again after the fetch, and sessions matter to what is untrusted only.
@pytest.mark.parametrize("field", ["tenant", "scope", "tag_class", "system", "tools", "settings", "before", "locale"])
def test_the_law_refuses_a_partition_that_leaves_a_field_out(field: str) -> None:
    with pytest.raises(AssertionError, match="has the answer of"):
        LAW(Suite(), forgetful(SemanticCache(key=KEY), field))


def test_the_law_refuses_fields_that_are_joined_as_they_are() -> None:
    cache = a_cache(similar=False, broken="lengths")
    first, second = a_question(tenant="acmee", scope="veryone"), a_question()
    asked = [cache._asked(question) for question in (first, second)]
    assert not any(isinstance(one, CacheMiss) for one in asked)
    assert getattr(asked[0], "partition", 0) == getattr(asked[1], "partition", 1)
    sound = Partitions(KEY, embedder="")
    assert sound.partition(first) != sound.partition(second)


def test_what_is_remembered_of_a_partition_is_of_one_key_and_embedder() -> None:
    question = a_question()
    made = [Partitions(KEY, embedder=""), Partitions(KEY, embedder="other"), Partitions(b"another key" * 3, embedder="")]
    first = [one.partition(question) for one in made]
    assert len(set(first)) == 3
    assert [one.partition(question) for one in made] == first
    assert None not in first
    # What is believed is shared between sessions, and what is not stays in its own.
    assert made[0].partition(replace(question, session="another")) == first[0]
    own = [made[0].partition(a_question(tag=UNTRUSTED, session=name)) for name in ("one", "another", None)]
    assert len({*own, first[0]}) == 4
    assert own[2] is None


def test_nobody_writes_into_the_miss_of_another() -> None:
    with SemanticCache(key=KEY) as cache:
        missed = cache.look_up(a_question(tenant="one"))
        assert isinstance(missed, CacheMiss)
        with pytest.raises(FrozenInstanceError):
            missed.detail = "what one tenant asked"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] -- on purpose
        assert cache.look_up(a_question(tenant="another")) == CacheMiss(reason=missed.reason)


def test_what_is_easily_confused_is_apart() -> None:
    seen: dict[str, object] = {}
    partitions = Partitions(KEY, embedder="")
    for name, values in CONFUSABLE.items():
        for value in values:
            question = a_question(**{name: value})
            partition = partitions.partition(question)
            if partition is not None:
                assert seen.setdefault(partition, apart_by(question)) == apart_by(question)
    assert len(seen) > 50
