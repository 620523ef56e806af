"""The simulator against closed forms of queueing theory, which share no code with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from profiles import profile

from planner.core.intervals import mean_interval
from planner.core.simulate import Arrivals, gap_quantiles_s, saturation_requests_per_s, simulate
from planner.errors import InputError
from planner.schema.profile import Limits, StepTime

ROOMY = Limits(
    max_num_seqs=1000, max_num_batched_tokens=100_000, kv_cache_tokens=10**8, block_tokens=16, max_model_len=10**5
)
ONE_AT_A_TIME = ROOMY.model_copy(update={"max_num_seqs": 1})


def poisson(requests: int, rate_per_s: float, prompt: int, output: int, seed: int = 7) -> Arrivals:
    gaps = np.random.default_rng(seed).exponential(1 / rate_per_s, requests)
    return Arrivals.of(np.cumsum(gaps), np.full(requests, prompt), np.full(requests, output))


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_sequence_and_one_token_is_m_d_1(load: float) -> None:
    """Pollaczek–Khinchine: the mean wait of M/D/1 is ρ·s / (2(1 − ρ))."""
    step_s = 0.05
    served = simulate(profile(StepTime(base=step_s), ONE_AT_A_TIME), 1, poisson(400_000, load / step_s, 10, 1))
    wait_s = served.queue_s.mean()
    expected_s = load * step_s / (2 * (1 - load))
    assert wait_s == pytest.approx(expected_s, rel=0.03)
    in_flight = load / step_s * (expected_s + step_s)
    low_s, high_s = mean_interval(served.queue_s, in_flight) or (0.0, 0.0)
    assert abs(wait_s - expected_s) <= 3 / 1.96 * (high_s - low_s) / 2  # three standard errors
    assert served.utilization_fraction == pytest.approx(load, rel=0.01)
    assert served.ttft_s.mean() == pytest.approx(wait_s + step_s, rel=1e-9)


def test_two_replicas_wait_less_than_one_of_half_the_load_and_more_than_a_pooled_queue() -> None:
    """Least outstanding lies between two separate M/D/1 queues and one M/D/2 queue (which waits at least half)."""
    step_s, load = 0.05, 0.8
    served = simulate(profile(StepTime(base=step_s), ONE_AT_A_TIME), 2, poisson(400_000, 2 * load / step_s, 10, 1))
    wait_s = served.queue_s.mean()
    separate_s = load * step_s / (2 * (1 - load))
    assert 0.4 * separate_s < wait_s < 0.75 * separate_s


def test_a_constant_step_with_a_wide_batch_gives_every_token_after_the_same_time() -> None:
    step_s, output = 0.02, 50
    served = simulate(profile(StepTime(base=step_s), ROOMY), 1, poisson(20_000, 5.0, 100, output))
    assert served.tpot_s == pytest.approx(np.full(20_000, step_s))
    # Arrivals are uniform within a step where the engine is busy, which it is for all but a share exp(−λ·E2E).
    idle_share = np.exp(-5.0 * output * step_s)
    assert served.ttft_s.mean() == pytest.approx(step_s * (1.5 - 0.5 * idle_share), rel=0.02)
    assert gap_quantiles_s(served.gaps, np.array([0.01, 0.5, 0.99])) == pytest.approx([step_s] * 3, rel=1e-3)
    assert served.gaps.sum() == 20_000 * (output - 1)


def test_the_first_token_of_a_busy_engine_comes_after_one_to_two_steps_each_as_likely() -> None:
    """A Poisson arrival falls anywhere into a step, waits for its end, and is served in the next one."""
    step_s, output = 0.02, 400
    served = simulate(profile(StepTime(base=step_s), ROOMY), 1, poisson(40_000, 5.0, 100, output))
    # Idle for a share exp(−λ·E2E) = exp(−40) of the time: never, but before the first.
    steps = np.sort(served.ttft_s[1:] / step_s)
    assert steps[0] >= 1 - 1e-6
    assert steps[-1] <= 2 + 1e-6
    apart = np.abs(steps - 1 - (np.arange(steps.size) + 0.5) / steps.size).max()
    assert apart < 1.63 / np.sqrt(steps.size)  # Kolmogorov and Smirnov's bound at the level of 1 %


def test_saturation_throughput_is_a_full_batch_over_the_time_of_its_steps() -> None:
    """With B sequences of equal length n out of phase, a request costs each step n shares of 1/B."""
    step = StepTime(base=0.01, per_prefill_token=1e-5, per_sequence=1e-4)
    prompt, output, batch = 100, 40, 32
    limits = ROOMY.model_copy(update={"max_num_seqs": batch})
    rng = np.random.default_rng(3)
    outputs = rng.integers(1, 2 * output, 4000)
    kind = Arrivals.of(np.zeros(4000), np.full(4000, prompt), outputs)
    # Each request is in `output` steps, of which B share one base; one of them is a prefill, the others decodes.
    mean = outputs.mean()
    request_s = mean * step.base / batch + step.per_prefill_token * prompt + (mean - 1) * step.per_sequence
    assert saturation_requests_per_s(profile(step, limits), kind) == pytest.approx(1 / request_s, rel=0.02)


def test_saturation_of_requests_in_lock_step_counts_whole_batches() -> None:
    limits = ROOMY.model_copy(update={"max_num_seqs": 300})
    kind = Arrivals.of(np.zeros(10), np.full(10, 10), np.full(10, 30))
    assert saturation_requests_per_s(profile(StepTime(base=0.01), limits), kind) == pytest.approx(300 / (30 * 0.01))


@pytest.mark.parametrize("batch", [64, 1024, 8192])
def test_saturation_holds_for_batches_of_any_size(batch: int) -> None:
    limits = ROOMY.model_copy(update={"max_num_seqs": batch})
    outputs = np.random.default_rng(3).integers(1, 200, 4000)
    kind = Arrivals.of(np.zeros(4000), np.full(4000, 1), outputs)
    # Only a base: a request takes part in as many steps as it has tokens, and shares each with a full batch.
    expected = batch / (outputs.mean() * 0.01)
    assert saturation_requests_per_s(profile(StepTime(base=0.01), limits), kind) == pytest.approx(expected, rel=0.05)


def test_saturation_looks_at_all_of_a_long_trace() -> None:
    outputs = np.concatenate([np.full(50_000, 10), np.full(50_000, 30)])
    kind = Arrivals.of(np.zeros(100_000), np.full(100_000, 10), outputs)
    found = saturation_requests_per_s(profile(StepTime(base=0.01), ONE_AT_A_TIME), kind)
    # In the middle half of a queue that is played from its short requests to its long ones, half are of each kind.
    assert found == pytest.approx(1 / 0.2, rel=0.02)


@pytest.mark.parametrize(
    ("step", "first_s", "last_s"),
    [
        (StepTime(base=0, per_sequence=0.01), 0.0, 0.04),
        (StepTime(base=0, per_prefill_token=0.01), 0.5, 0.5),
    ],
    ids=["only decodes take time", "only prefills take time"],
)
def test_steps_that_take_no_time_are_steps(step: StepTime, first_s: float, last_s: float) -> None:
    served = simulate(profile(step, ROOMY), 1, Arrivals.of(np.array([1.0, 9.0]), np.full(2, 50), np.full(2, 5)))
    assert served.ttft_s == pytest.approx(np.full(2, first_s))
    assert served.e2e_s == pytest.approx(np.full(2, last_s))


@settings(max_examples=25, deadline=None)
@given(
    rate=st.floats(0.5, 20.0),
    prompt=st.integers(1, 400),
    output=st.integers(1, 60),
    replicas=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_littles_law_and_conservation(rate: float, prompt: int, output: int, replicas: int, seed: int) -> None:
    """The time integral of requests in the system is the sum of their times in it; every token is emitted once."""
    step = StepTime(base=0.01, per_prefill_token=2e-5, per_sequence=2e-4, per_context_token=1e-7)
    limits = Limits(
        max_num_seqs=16, max_num_batched_tokens=256, kv_cache_tokens=4000, block_tokens=16, max_model_len=1000
    )
    arrivals = poisson(300, rate, prompt, output, seed)
    served = simulate(profile(step, limits), replicas, arrivals)
    events = np.sort(np.concatenate([arrivals.arrival_s, served.last_token_s]))
    middle = (events[1:] + events[:-1]) / 2
    inside = np.searchsorted(np.sort(arrivals.arrival_s), middle) - np.searchsorted(
        np.sort(served.last_token_s), middle
    )
    assert (inside * np.diff(events)).sum() == pytest.approx(served.e2e_s.sum())
    assert served.gaps.sum() == 300 * (output - 1)
    assert (served.first_step_s >= arrivals.arrival_s).all()
    assert (served.first_token_s > served.first_step_s).all()
    assert 0 < served.utilization_fraction <= 1 + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 100), rate=st.floats(5.0, 60.0))
def test_one_replica_more_never_lengthens_the_mean_wait(seed: int, rate: float) -> None:
    arrivals = poisson(2000, rate, 200, 30, seed)
    step = StepTime(base=0.01, per_prefill_token=2e-5, per_sequence=2e-4)
    limits = ROOMY.model_copy(update={"max_num_seqs": 8, "max_num_batched_tokens": 512})
    waits = [
        float(served.queue_s.mean())
        for served in (simulate(profile(step, limits), replicas, arrivals) for replicas in (1, 2, 4))
    ]
    assert waits[0] >= waits[1] - 1e-3
    assert waits[1] >= waits[2] - 1e-3


def test_playing_arrivals_in_spans_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals = poisson(3000, 40.0, 200, 30)
    step = StepTime(base=0.01, per_prefill_token=2e-5, per_sequence=2e-4)
    whole = simulate(profile(step, ROOMY), 2, arrivals)
    monkeypatch.setattr("planner.core.simulate._ARRIVALS_AT_ONCE", 17)
    told: list[float] = []
    parts = simulate(profile(step, ROOMY), 2, arrivals, told.append)
    assert np.array_equal(whole.last_token_s, parts.last_token_s)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_memory_that_is_short_throttles_but_loses_nothing() -> None:
    limits = ROOMY.model_copy(update={"kv_cache_tokens": 3000})
    served = simulate(profile(StepTime(base=0.01), limits), 1, poisson(500, 100.0, 500, 200))
    assert served.preemptions > 0
    assert served.kv_peak_fraction > 0.95
    assert np.isfinite(served.last_token_s).all()
    assert served.gaps.sum() == 500 * 199


def test_nothing_to_simulate_is_refused() -> None:
    none = np.array([], dtype=np.int64)
    with pytest.raises(InputError, match="at least one"):
        simulate(profile(StepTime(base=0.01), ROOMY), 1, Arrivals.of(none.astype(float), none, none))


def test_time_outside_the_engine_is_added_and_takes_no_turn() -> None:
    arrivals = poisson(1000, 20.0, 100, 10)
    inside = simulate(profile(StepTime(base=0.01), ROOMY), 1, arrivals)
    outside = simulate(profile(StepTime(base=0.01), ROOMY, request_overhead_s=0.25), 1, arrivals)
    assert outside.ttft_s == pytest.approx(inside.ttft_s + 0.25)
    assert outside.queue_s == pytest.approx(inside.queue_s, abs=1e-9)
    assert outside.tpot_s == pytest.approx(inside.tpot_s)
