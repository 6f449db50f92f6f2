"""Who may not see each other's data shares no prompt cache."""

from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from session_router.core.governance import Level, Tag
from session_router.identity import prompt_cache_salt, subject_id
from session_router.testing.strategies import tags

KEY = b"k" * 32
NAMES = st.none() | st.sampled_from(("", "a", "b", "a|b"))


def class_of(tag: Tag) -> Tag:
    return replace(tag, subjects=frozenset(), expires_at=None)


@given(tags(), tags(), NAMES, NAMES, st.sampled_from(("s", "t")), st.sampled_from(("s", "t")))
def test_what_differs_in_label_tenant_or_session_has_another_salt(
    one: Tag, other: Tag, tenant: str | None, another: str | None, session: str, elsewhere: str
) -> None:
    first = prompt_cache_salt(KEY, one, tenant=tenant, session=session)
    second = prompt_cache_salt(KEY, other, tenant=another, session=elsewhere)
    same = class_of(one) == class_of(other) and tenant == another and (one.level < Level.CONFIDENTIAL or session == elsewhere)
    assert (first == second) is same
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert prompt_cache_salt(b"x" * 32, one, tenant=tenant, session=session) != first


@given(tags())
def test_without_a_session_confidential_prompts_are_shared_with_nobody(tag: Tag) -> None:
    salts = {prompt_cache_salt(KEY, tag) for _ in range(3)}
    assert len(salts) == (3 if tag.level >= Level.CONFIDENTIAL else 1)


@given(NAMES, NAMES, st.text(), st.text())
def test_people_are_told_apart_and_not_read(tenant: str | None, another: str | None, name: str, other: str) -> None:
    one, two = subject_id(KEY, name, tenant=tenant), subject_id(KEY, other, tenant=another)
    assert (one == two) is ((tenant, name) == (another, other))
    assert re.fullmatch("[0-9a-f]{64}", one)
