from __future__ import annotations

import pytest

from support.not_here import not_here


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception), ("1", pytest.fail.Exception)])
def test_what_is_missing_is_skipped_by_hand_and_fails_in_ci(ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="prometheus is missing: install it with"):
        not_here("prometheus", "install it with `apt-get`")
