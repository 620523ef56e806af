"""Jumps against the stepper, which takes every step alone; and against steps worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import profile

from planner.core.simulate import Arrivals, Routing, Served, simulate
from planner.schema.profile import Limits, Profile, StepTime

# Sums of these are exact in binary, in whatever order they are added: jump and stepper must agree to the last bit,
# with arrivals at the very moment at which steps end.
TICK_S, COST_S = 2.0**-8, 2.0**-20


@st.composite
def profiles(draw: st.DrawFn) -> Profile:
    """Costs, of which some are 0, and limits that bind."""
    costs = [draw(st.sampled_from([0, most // 7, most])) for most in (2**14, 2**10, 2**11, 2**6)]
    if draw(st.booleans()) or not any(costs):
        costs = [2**14, 0, 0, 0]  # every fourth tick is the end of a step
    base, per_prefill_token, per_sequence, per_context_token = (cost * COST_S for cost in costs)
    block_tokens = draw(st.sampled_from([1, 3, 16]))
    return profile(
        StepTime(
            base=base,
            per_prefill_token=per_prefill_token,
            per_sequence=per_sequence,
            per_context_token=per_context_token,
        ),
        Limits(
            max_num_seqs=draw(st.sampled_from([1, 2, 5, 100])),
            max_num_batched_tokens=draw(st.sampled_from([1, 7, 64, 10_000])),
            kv_cache_tokens=draw(st.sampled_from([400, 2_000, 100_000])),
            block_tokens=block_tokens,
            max_model_len=400,
        ),
    )


@st.composite
def loads(draw: st.DrawFn) -> Arrivals:
    """Bursts and pauses, prompts of many chunks, answers of one token, some of the prompt cached."""
    requests = draw(
        st.lists(
            st.tuples(
                st.sampled_from([0, 0, 1, 3, 40, 2000]),
                st.integers(1, 300),
                st.one_of(st.just(1), st.integers(1, 90)),
                st.one_of(st.just(0), st.integers(0, 299)),
            ),
            min_size=1,
            max_size=60,
        )
    )
    gaps, prompt, output, cached = (np.array(column) for column in zip(*requests, strict=True))
    return Arrivals(np.cumsum(gaps) * TICK_S, prompt, output, np.minimum(cached, prompt - 1))


def both(
    of: Profile, replicas: int, arrivals: Arrivals, routing: Routing = "least-outstanding"
) -> tuple[Served, Served]:
    return (
        simulate(of, replicas, arrivals, routing=routing),
        simulate(of, replicas, arrivals, routing=routing, method="stepper"),
    )


@settings(max_examples=300, deadline=None)
@given(
    of=profiles(),
    arrivals=loads(),
    replicas=st.integers(1, 3),
    routing=st.sampled_from(["least-outstanding", "round-robin"]),
)
def test_a_jump_is_what_the_stepper_does(of: Profile, arrivals: Arrivals, replicas: int, routing: Routing) -> None:
    jumped, stepped = both(of, replicas, arrivals, routing)
    assert stepped.method == "stepper"
    assert np.array_equal(jumped.first_step_s, stepped.first_step_s)
    assert np.array_equal(jumped.first_token_s, stepped.first_token_s)
    assert np.array_equal(jumped.last_token_s, stepped.last_token_s)
    assert np.array_equal(jumped.gaps, stepped.gaps)
    assert jumped.utilization_fraction == stepped.utilization_fraction
    assert jumped.kv_peak_fraction == stepped.kv_peak_fraction
    assert jumped.preemptions == stepped.preemptions
    assert jumped.too_long == stepped.too_long
    if stepped.preemptions or stepped.kv_peak_fraction > 0.9:
        assert jumped.method == "stepper"


TOY = profile(
    StepTime(base=0.006, per_prefill_token=2.1e-5, per_sequence=2e-5, per_context_token=3e-8),
    Limits(
        max_num_seqs=256, max_num_batched_tokens=2048, kv_cache_tokens=440_000, block_tokens=16, max_model_len=32_768
    ),
)
"""An 8B model on one H100, roughly."""


def conversations(requests: int, rate_per_s: float, squared_cv: float, seed: int) -> Arrivals:
    rng = np.random.default_rng(seed)
    prompt = np.clip(np.rint(1020 * np.exp(0.5 * rng.standard_normal(requests))), 1, 8000).astype(np.int32)
    output = np.clip(np.rint(129 * np.exp(0.95 * rng.standard_normal(requests))), 1, 1500).astype(np.int32)
    gaps_s = rng.gamma(1 / squared_cv, squared_cv / rate_per_s, requests)
    return Arrivals.of(np.cumsum(gaps_s), prompt, output, prefix_hit_fraction=0.2 * (seed % 2))


@pytest.mark.parametrize("replicas", [1, 4])
@pytest.mark.parametrize("squared_cv", [1.0, 4.0])
@pytest.mark.parametrize("rate_per_s", [1.0, 10.0, 16.0])
def test_latencies_of_a_real_load_agree(rate_per_s: float, squared_cv: float, replicas: int) -> None:
    """Costs that are not exact in binary: rounding differs, and what it decides could differ."""
    arrivals = conversations(8_000, rate_per_s * replicas, squared_cv, seed=int(rate_per_s))
    jumped, stepped = both(TOY, replicas, arrivals)
    assert jumped.method == "jump"
    fractions = [0.5, 0.95, 0.99]
    for name in ("ttft_s", "tpot_s", "e2e_s"):
        of_jump, of_stepper = (np.nanquantile(getattr(served, name), fractions) for served in (jumped, stepped))
        assert of_jump == pytest.approx(of_stepper, rel=1e-6), name
    assert np.abs(np.cumsum(jumped.gaps - stepped.gaps)).max() <= 1e-4 * stepped.gaps.sum()
    assert jumped.gaps.sum() == stepped.gaps.sum() == (arrivals.output_tokens - 1).sum()
    assert jumped.kv_peak_fraction == pytest.approx(stepped.kv_peak_fraction, rel=1e-3)


def test_a_run_ends_with_the_step_in_which_a_request_arrives() -> None:
    # Steps of 1 + 0.001·context: the prompt of 10 tokens takes 1.1 s, then 1.111, 1.112, 1.113, … s each.
    costs = StepTime(base=1.0, per_prefill_token=0.01, per_sequence=0.1, per_context_token=0.001)
    ends = np.cumsum([1.1, *(1.1 + 0.001 * held for held in range(11, 60))])
    for step in (1, 2, 7, 30):
        just_before, just_after = ends[step] - 1e-6, ends[step] + 1e-6
        for arrival_s, begins_s in ((just_before, ends[step]), (just_after, ends[step + 1])):
            arrivals = Arrivals.of(np.array([0.0, arrival_s]), np.array([10, 10]), np.array([50, 1]))
            served = simulate(profile(costs, TOY.limits), 1, arrivals)
            assert served.first_step_s[1] == pytest.approx(begins_s, abs=1e-9)
            # The step that computes the second prompt takes 0.1 s more for its ten tokens.
            took_s = 0.1 + float(ends[-1])
            assert served.last_token_s[0] == pytest.approx(took_s, abs=1e-9)


def test_gaps_of_a_run_are_counted_each_by_its_length() -> None:
    # One sequence whose steps grow from 0.011 s by 1 ms a token: 999 gaps, as many lengths.
    costs = StepTime(base=0.0, per_context_token=0.001)
    served = simulate(profile(costs, TOY.limits), 1, Arrivals.of(np.zeros(1), np.array([10]), np.array([1000])))
    lengths_s = 0.001 * np.arange(11, 1010)
    bins = np.floor(np.log(lengths_s / 1e-6) * 1000).astype(int)
    assert np.array_equal(served.gaps, np.bincount(bins, minlength=served.gaps.size))


@pytest.mark.parametrize(("kv_cache_tokens", "method"), [(1120, "jump"), (1104, "stepper")])
def test_the_stepper_takes_over_beyond_nine_tenths_of_the_memory(kv_cache_tokens: int, method: str) -> None:
    # 992 prompt tokens and 15 of 16 generated are 63 blocks of 16: of 70 they are nine tenths, of 69 more.
    tight = TOY.limits.model_copy(update={"kv_cache_tokens": kv_cache_tokens})
    arrivals = Arrivals.of(np.zeros(1), np.array([992]), np.array([16]))
    served = simulate(profile(TOY.step_time_s, tight), 1, arrivals)
    assert served.method == method
    assert served.kv_peak_fraction == pytest.approx(63 * 16 / kv_cache_tokens)


def test_progress_never_goes_back_when_the_stepper_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.core.simulate._ARRIVALS_AT_ONCE", 10)
    prompt = np.full(200, 100)
    prompt[150:] = 6000
    told: list[float] = []
    tight = TOY.limits.model_copy(update={"kv_cache_tokens": 6_400})
    arrivals = Arrivals.of(np.arange(200.0), prompt, np.full(200, 10))
    served = simulate(profile(TOY.step_time_s, tight), 1, arrivals, told.append)
    assert served.method == "stepper"
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_round_robin_sends_each_request_to_the_next_replica_whatever_is_outstanding_there() -> None:
    # Two replicas, one request at a time: the first and third share one, though the other has long been idle.
    one = profile(StepTime(base=1.0), TOY.limits.model_copy(update={"max_num_seqs": 1}))
    arrivals = Arrivals.of(np.array([0.0, 0.1, 5.0]), np.full(3, 10), np.array([10, 1, 1]))
    for method in ("jump", "stepper"):
        turns = simulate(one, 2, arrivals, routing="round-robin", method=method)
        fewest = simulate(one, 2, arrivals, method=method)
        assert turns.first_step_s.tolist() == pytest.approx([0.0, 0.1, 10.0])
        assert fewest.first_step_s.tolist() == pytest.approx([0.0, 0.1, 5.0])
