"""HMAC-SHA256 by two hashes that have read the key."""

from __future__ import annotations

import hashlib
import hmac

from hypothesis import given
from hypothesis import strategies as st

from session_router.cache.keyed import Keyed


@given(key=st.binary(max_size=200), messages=st.lists(st.binary(max_size=200), max_size=3))
def test_it_is_the_hmac_that_others_compute(key: bytes, messages: list[bytes]) -> None:
    keyed = Keyed(key)
    assert [keyed.digest(message) for message in messages] == [hmac.digest(key, message, hashlib.sha256) for message in messages]
