"""Experience: learned from recordings, kept in a file, refused when its dollars have changed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router import ModelSpec, Policy, Prices, Router
from session_router.core.experience import Experience
from session_router.core.model import ModelName
from session_router.errors import ConfigurationError
from session_router.learning import Learner, marks_of
from session_router.recordings import recording_from_openai
from session_router.regret.accounting import ScorerChances, SessionCosts
from session_router.regret.bill import Terms
from session_router.regret.optimum import Hindsight
from session_router.replay import replay_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.replay import ReplayedCall

FAST, STRONG = ModelName("fast"), ModelName("strong")
PRICES = {"fast": Prices(input=0.1, output=0.4, cached_input=0.01), "strong": Prices(input=3, output=15, cached_input=0.3)}
HARD = "Debug the race condition in the scheduler, design a fix and prove that it is right. " * 20


def router_of(**settings: Any) -> Router:
    return Router({"fast": "x:fast", "strong": "x:strong"}, prices=PRICES, policy=Policy(**settings), key=b"0" * 32)


def calls_of(router: Router, *turns: str, name: str = "s", loops: int = 1) -> list[ReplayedCall]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": "rules " * 1_500}]
    for turn, text in enumerate(turns):
        messages.append({"role": "user", "content": text})
        for loop in range(loops):
            call = f"c{turn}_{loop}"
            messages += [
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"id": call, "type": "function", "function": {"name": "look", "arguments": "{}"}}],
                },
                {"role": "tool", "tool_call_id": call, "content": "row " * 100},
            ]
        messages.append({"role": "assistant", "content": "done " * 40})
    return list(replay_session(recording_from_openai({"session_id": name, "messages": messages}), router))


def experience_of(router: Router, sessions: Sequence[Sequence[ReplayedCall]], **settings: Any) -> Experience:
    learner = Learner(router, **settings)
    for session in sessions:
        learner.add(session)
    return learner.experience()


def test_what_followed_the_last_segment_is_nothing_and_all_of_it_is_the_optimum() -> None:
    router = router_of(stake=0.5)
    costs = SessionCosts(calls_of(router, "hi", HARD, "thanks", HARD), router, ScorerChances(router))
    marks = marks_of(costs, router.policy)
    assert [mark.number for mark in marks] == [1, 2, 3, 4]
    assert set(marks[-1].afterwards.values()) == {0.0}
    optimum = Hindsight(costs).path(Terms(stake=0.5)).total
    first = {
        name: sum(costs.dollars(call, name, call - 1 if call else None) for call in (0, 1)) + 0.5 * (1 - marks[0].chances[name])
        for name in costs.models
    }
    # What a mark says leaves out that a model visited earlier may be warm, so that it is never less.
    assert min(first[name] + marks[0].afterwards[name] for name in costs.models) >= optimum - 1e-12
    assert min(first[name] + marks[0].afterwards[name] for name in costs.models) == pytest.approx(optimum, rel=0.05)
    assert [mark.calls for mark in marks] == [2, 2, 2, 2]


def test_a_session_that_no_model_can_take_teaches_nothing() -> None:
    router = Router({"fast": ModelSpec(model="x:fast", prices=PRICES["fast"], context_window=10)}, policy=Policy(), key=b"0" * 32)
    learner = Learner(router)
    learner.add(calls_of(router, "hi", HARD))
    assert (learner.sessions, learner.boundaries) == (0, 0)


def test_a_boundary_is_worth_more_on_the_model_that_the_rest_needs() -> None:
    router = router_of(stake=1.0)
    marks = marks_of(SessionCosts(calls_of(router, "hi", HARD, HARD, HARD), router, ScorerChances(router)), router.policy)
    assert marks[0].afterwards[STRONG] < marks[0].afterwards[FAST]


def test_experience_changes_a_choice_that_the_coming_segment_alone_would_not() -> None:
    plain = router_of(stake=0.18)
    past = experience_of(plain, [calls_of(plain, "hi", HARD, HARD, HARD, name=str(index)) for index in range(6)])
    without, with_it = (calls_of(router_of(stake=0.18, experience=one), "hi", HARD)[0].decision for one in (None, past))
    assert (without.model, with_it.model) == (FAST, STRONG)
    assert (without.evidence.trusted, with_it.evidence.trusted) == (False, True)
    assert without.policy != with_it.policy
    here = {one.model: one.offer for one in with_it.evidence.candidates}
    fast, strong = here[FAST], here[STRONG]
    assert fast is not None
    assert strong is not None
    assert fast.segment < strong.segment
    assert fast.expected > strong.expected


def test_it_survives_a_file_and_holds_no_text() -> None:
    router = router_of()
    past = experience_of(router, [calls_of(router, "hi", HARD)])
    written = json.dumps(past.to_plain())
    assert "race" not in written
    again = Experience.from_plain(json.loads(written))
    assert again == past
    assert again.fingerprint == past.fingerprint
    assert Policy(experience=again).version == Policy(experience=past).version != Policy().version


@pytest.mark.parametrize(
    "broken",
    [
        lambda _: [],
        lambda plain: {**plain, "schema": 2},
        lambda plain: {**plain, "marks": []},
        lambda plain: {**plain, "marks": [[1, 2, 3]]},
        lambda plain: {**plain, "marks": [[1, 2, 3, "x", 5, [0.5, 0.5], [0, 0]]]},
        lambda plain: {**plain, "marks": [[1, 2, 3, 4, float("nan"), [0.5, 0.5], [0, 0]]]},
        lambda plain: {**plain, "marks": [[1, -2, 3, 4, 5, [0.5, 0.5], [0, 0]]]},
        lambda plain: {**plain, "marks": [[1, 2, 3, 4, 5, [0.5], [0, 0]]]},
        lambda plain: {**plain, "models": [""]},
        lambda plain: {**plain, "basis": {"policy.stake": None}},
        lambda plain: {key: value for key, value in plain.items() if key != "basis"},
    ],
)
def test_what_is_no_experience_is_refused(broken: Any) -> None:
    router = router_of()
    plain = experience_of(router, [calls_of(router, "hi")]).to_plain()
    assert Experience.from_plain(plain)
    with pytest.raises(ValueError, match=r"\w"):
        Experience.from_plain(broken(plain))


def test_other_dollars_need_another_experience() -> None:
    router = router_of(stake=0.5)
    past = experience_of(router, [calls_of(router, "hi", HARD)])
    assert router_of(stake=0.5, experience=past).policy.experience == past
    with pytest.raises(ConfigurationError) as caught:
        router_of(stake=0.4, experience=past)
    assert caught.value.key == "policy.experience"
    assert "policy.stake" in str(caught.value)
    assert "session-router learn" in str(caught.value)
    dearer = {**PRICES, "strong": replace(PRICES["strong"], output=16)}
    with pytest.raises(ConfigurationError, match=r"prices\.strong\.output"):
        Router({"fast": "x:fast", "strong": "x:strong"}, prices=dearer, policy=Policy(stake=0.5, experience=past))


def test_of_many_sessions_it_keeps_so_many_evenly_spread() -> None:
    router = router_of()
    learner = Learner(router, sessions=10)
    for index in range(95):
        learner.add(calls_of(router, "hi", *(["more"] * (index % 3)), name=str(index)))
    assert 5 <= learner.sessions <= 10
    assert {mark.number for mark in learner.experience().marks} == {1, 2, 3}


def test_nothing_to_learn_from_is_said() -> None:
    with pytest.raises(ConfigurationError, match="nothing to learn"):
        Learner(router_of()).experience()
