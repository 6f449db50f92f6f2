"""What a segment has been like, what the next one will be like, and what it costs."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from session_router.core.prefix import PromptCache
from session_router.core.pricing import TOKENS_PER_PRICE, Prices, cold_premium, segment_price
from session_router.core.segment import PRIOR_WEIGHT, Ended, Forecast, Habits, Segment
from values import ai, human, injected, tool, transcript

PRICES = Prices(input=2.0, output=8.0, cached_input=0.5, cache_write=2.5)
ENDED = Ended(calls=3, growth=100.0, output=50.0, between=30.0, surprise=0.5)


def after(*ended: Ended, habits: Habits | None = None) -> Habits:
    habits = habits or Habits()
    for one in ended:
        habits = habits.learned(one)
    return habits


class TestEnded:
    """A segment of three calls: the first reads 100 tokens, each of the others 30 more than the one before."""

    opened = (human(tokens=100),)
    ran = (*opened, ai("a", tokens=10), tool("a", tokens=20), ai("b", tokens=10), tool("b", tokens=20))
    segment = Segment(start=1, first_tokens=100, last_tokens=160, calls=3, predicted_calls=2.0)

    def test_it_has_grown_from_call_to_call_and_to_the_next(self) -> None:
        ended = self.segment.ended(transcript(*self.ran, ai(tokens=40), human("next", tokens=7)))
        assert ended == Ended(calls=3, growth=30.0, output=20.0, between=47.0, surprise=math.log(1.5))

    def test_output_is_as_providers_counted_it_where_they_did(self) -> None:
        counted = self.segment.answered(90).answered(30)
        assert counted.ended(transcript(*self.ran, ai(tokens=40), human("next"))).output == 60.0

    def test_fewer_calls_than_predicted_surprise_as_much_as_more(self) -> None:
        history = transcript(*self.ran, human("next"))
        surprises = [replace(self.segment, calls=calls, predicted_calls=4.0).ended(history).surprise for calls in (1, 4, 16)]
        assert surprises == pytest.approx([math.log(4), 0.0, math.log(4)])

    def test_a_segment_of_one_call_says_nothing_of_growth(self) -> None:
        assert Segment(start=1, first_tokens=100, last_tokens=100).ended(transcript(*self.opened, ai(), human("next"))).growth is None

    def test_a_summary_before_the_next_segment_teaches_nothing_wrong(self) -> None:
        ended = self.segment.ended(transcript(injected(), human("next")))
        assert (ended.between, ended.output) == (None, None)
        assert (ended.calls, ended.growth) == (3, 30.0)

    def test_a_summary_within_the_loop_teaches_nothing_wrong(self) -> None:
        shrunk = replace(self.segment, last_tokens=90)
        ended = shrunk.ended(transcript(injected(), ai("b", tokens=50), tool("b", tokens=30), ai(tokens=5), human("next")))
        assert ended.growth is None
        assert (ended.calls, ended.between) == (3, 15.0)


class TestHabits:
    def test_the_defaults_weigh_nothing(self) -> None:
        learned = after(ENDED)
        assert learned == Habits(
            weight=1.0,
            growth_weight=1.0,
            between_weight=1.0,
            calls=3.0,
            pairs=3.0,
            growth=100.0,
            output=50.0,
            between=30.0,
            further=Habits().further,
            surprise=0.5,
        )

    def test_what_a_segment_says_nothing_about_stays_as_it_was(self) -> None:
        before = after(ENDED)
        later = before.learned(Ended(calls=1, growth=None, output=None, between=None, surprise=0.0))
        assert (later.growth, later.output, later.between) == (before.growth, before.output, before.between)
        assert later.calls < before.calls

    def test_the_first_output_that_anyone_saw_is_taken_whole(self) -> None:
        silent = after(*[replace(ENDED, output=None)] * 5)
        assert silent.output == 0.0
        assert silent.learned(ENDED).output == 50.0

    def test_a_default_goes_with_the_first_segment_that_tells_something_of_it(self) -> None:
        silent = replace(ENDED, calls=1, growth=None, between=None)
        habits = after(silent, silent, silent)
        assert (habits.growth, habits.between) == (Habits().growth, Habits().between)
        assert after(silent, silent, silent, replace(ENDED, growth=1_000.0, between=7.0)).growth == 1_000.0
        assert after(silent, replace(ENDED, growth=1_000.0, between=7.0)).between == 7.0

    def test_a_session_begins_with_those_of_the_population_and_soon_has_its_own(self) -> None:
        population = replace(after(*[ENDED] * 50), further=7.0)
        begun = population.as_prior()
        of_few = dict.fromkeys(("weight", "growth_weight", "between_weight"), PRIOR_WEIGHT)
        assert begun == replace(population, **of_few, surprise=0.0)
        other = replace(ENDED, calls=9)
        near = {segments: after(*[other] * segments, habits=begun).calls for segments in (1, 3, 9)}
        assert 3 < near[1] < near[3] < near[9] < 9
        assert near[3] > 6
        # Of few segments nobody makes more than they are.
        assert after(ENDED).as_prior().weight == 1.0

    @pytest.mark.parametrize("lengths", [[1], [4], [2, 10], [1, 1, 1, 17]])
    def test_what_is_told_of_boundaries_converges_to_the_segments_that_follow_them(self, lengths: list[int]) -> None:
        """Nobody says when a session is over; its length is known to this simulation only."""
        generator = random.Random(7)
        habits, believed, really, wrong = Habits(), list[float](), list[int](), Habits()
        for session in range(6_000):
            length = generator.choice(lengths)
            for number in range(1, length + 1):
                habits = habits.told(number=number)
                wrong = wrong.told(number=1)
                if session >= 1_000:
                    believed.append(habits.further)
                    really.append(length - number)
        assert sum(believed) / len(believed) == pytest.approx(sum(really) / len(really), rel=0.05, abs=1e-6)
        # Whoever is not told which boundary it is believes that every session is over.
        assert wrong.further < 1e-6

    @pytest.mark.parametrize("mean", [2.0, 8.0])
    def test_where_sessions_may_end_at_any_time_so_many_follow_every_segment(self, mean: float) -> None:
        generator = random.Random(11)
        habits, believed, really = Habits(), list[float](), list[int]()
        for _ in range(6_000):
            length = 1
            while generator.random() < 1 - 1 / mean:
                length += 1
            for number in range(length):
                habits = habits.told(number=number + 1)
                believed.append(habits.further)
                really.append(length - 1 - number)
        assert sum(believed) / len(believed) == pytest.approx(sum(really) / len(really), rel=0.05)


class TestForecast:
    habits = Habits(weight=5.0, calls=3.0, pairs=4.0, growth=100.0, output=50.0, between=30.0, further=6.0)

    def test_more_of_the_same_is_expected(self) -> None:
        assert Forecast.of(self.habits, output=400) == Forecast(calls=3.0, pairs=4.0, growth=100.0, output=50.0, further=6.0, between=30.0)

    def test_output_that_nobody_has_seen_is_as_the_policy_says(self) -> None:
        assert Forecast.of(replace(self.habits, output=0.0), output=400).output == 400.0

    @pytest.mark.parametrize(("weight", "share"), [(0.0, 0.0), (8.0, 0.5), (24.0, 0.75)])
    def test_a_session_s_own_segments_count_against_those_of_others(self, weight: float, share: float) -> None:
        own, other = Forecast.of(self.habits, output=400), Forecast(calls=7.0, pairs=24.0, growth=20.0, output=10.0)
        blended = own.blended(other, weight=weight, other_weight=8.0)
        for term in ("calls", "pairs", "growth", "output"):
            assert getattr(blended, term) == pytest.approx(share * getattr(own, term) + (1 - share) * getattr(other, term))
        # How many segments follow, only the session's own habits say.
        assert (blended.further, blended.between) == (own.further, own.between)


class TestPrice:
    forecast = Forecast(calls=3.0, pairs=3.0, growth=1_000.0, output=100.0)
    cache = PromptCache()

    def test_the_loop_is_priced_and_not_the_turn(self) -> None:
        price = segment_price(PRICES, self.cache, self.forecast, tokens=10_000, cached=4_000)
        assert price.ingest == pytest.approx(6_000 * (2.5 - 0.5) / TOKENS_PER_PRICE)
        loop = 10_000 * 0.5 + (1_000 * 2.5 + 10_000 * 0.5) + (1_000 * 2.5 + 11_000 * 0.5) + 3 * 100 * 8.0
        assert price.loop == pytest.approx(loop / TOKENS_PER_PRICE)

    def test_a_provider_that_counts_otherwise_reads_otherwise_and_writes_what_it_counts(self) -> None:
        price = segment_price(PRICES, self.cache, self.forecast, tokens=10_000, cached=4_000, scale=1.3)
        longer = replace(self.forecast, growth=1_300.0)
        assert price == segment_price(PRICES, self.cache, longer, tokens=10_000, cached=4_000)

    @pytest.mark.parametrize("cache", [PromptCache(minimum_tokens=10_001), PromptCache(seconds_to_live=0.0)])
    def test_where_nothing_is_cached_every_call_reads_everything_at_the_plain_price(self, cache: PromptCache) -> None:
        price = segment_price(PRICES, cache, self.forecast, tokens=10_000, cached=0)
        assert price.ingest == 0.0
        assert price.loop == pytest.approx((33_000 * 2.0 + 300 * 8.0) / TOKENS_PER_PRICE)

    def test_reading_everything_cold_costs_what_it_costs_over_reading_it_cached(self) -> None:
        assert cold_premium(PRICES, 10_000) == pytest.approx(10_000 * 2.0 / TOKENS_PER_PRICE)
        assert cold_premium(PRICES, 10_000) == segment_price(PRICES, self.cache, self.forecast, tokens=10_000, cached=0).ingest
        assert cold_premium(Prices(input=2.0, output=8.0), 10_000) == 0.0
        # A provider that takes more for what is cached has its price; a premium below nothing would pay for moving.
        assert cold_premium(Prices(input=2.0, output=8.0, cached_input=3.0), 10_000) == 0.0
