"""The scheduler, step by step, against steps worked out by hand."""

import numpy as np
import pytest
from profiles import profile

from planner.core.engine_state import fits
from planner.core.scheduler import Scheduler
from planner.core.simulate import Arrivals, Method, simulate
from planner.errors import InputError
from planner.schema.profile import Limits, StepTime

STEP_TIME = StepTime(base=1.0, per_prefill_token=0.01, per_sequence=0.1, per_context_token=0.001)


def limits(**changed: int) -> Limits:
    usual = {
        "max_num_seqs": 8,
        "max_num_batched_tokens": 64,
        "kv_cache_tokens": 1600,
        "block_tokens": 16,
        "max_model_len": 1000,
    }
    return Limits(**(usual | changed))


def arrivals(*requests: tuple[float, int, int], prefix_hit_fraction: float = 0.0) -> Arrivals:
    arrival_s, prompt, output = zip(*requests, strict=True)
    return Arrivals.of(np.array(arrival_s), np.array(prompt), np.array(output), prefix_hit_fraction)


@pytest.fixture(params=["jump", "stepper"])
def method(request: pytest.FixtureRequest) -> Method:
    """The jump leaves some of these cases to the stepper."""
    found: Method = request.param
    return found


def test_chunked_prefill_step_by_step(method: Method) -> None:
    # A prompt of 150 at 64 a step: 64, 64, 22; then two decodes that hold 151 and 152 tokens.
    served = simulate(profile(STEP_TIME, limits()), 1, arrivals((5.0, 150, 3)), method=method)
    steps = [1 + 0.64, 1 + 0.64, 1 + 0.22, 1 + 0.1 + 0.151, 1 + 0.1 + 0.152]
    assert served.first_step_s.tolist() == [5.0]
    assert served.first_token_s.tolist() == pytest.approx([5 + sum(steps[:3])])
    assert served.last_token_s.tolist() == pytest.approx([5 + sum(steps)])


def test_decodes_come_first_and_prefill_gets_the_rest(method: Method) -> None:
    # The second request comes during the first step. In the second step one decode leaves 63 tokens for its 100.
    served = simulate(profile(STEP_TIME, limits()), 1, arrivals((0.0, 10, 4), (0.5, 100, 1)), method=method)
    first = 1 + 0.10
    second = 1 + 0.63 + 0.1 + 0.011
    third = 1 + 0.37 + 0.1 + 0.012
    fourth = 1 + 0.1 + 0.013
    assert served.first_token_s.tolist() == pytest.approx([first, first + second + third])
    assert served.last_token_s[0] == pytest.approx(first + second + third + fourth)
    assert served.first_step_s[1] == pytest.approx(first)


def test_requests_of_the_same_moment_share_the_first_step(method: Method) -> None:
    served = simulate(
        profile(STEP_TIME, limits()), 1, arrivals((0.0, 30, 1), (0.0, 30, 1), (0.0, 30, 1)), method=method
    )
    # 30 + 30 + 4 of the third, then its other 26.
    assert served.first_token_s.tolist() == pytest.approx([1.64, 1.64, 1.64 + 1.26])


def test_no_more_than_max_num_seqs_run(method: Method) -> None:
    served = simulate(profile(STEP_TIME, limits(max_num_seqs=2)), 1, arrivals(*[(0.0, 10, 2)] * 3), method=method)
    first = 1 + 0.20
    second = 1 + 0.2 + 0.022
    assert served.first_step_s.tolist() == pytest.approx([0, 0, first + second])


def test_a_prompt_waits_for_the_memory_of_all_of_it(method: Method) -> None:
    # Ten blocks: the first request holds 4 (later 5) of them, so the second, which needs 7, waits for its end.
    tight = limits(kv_cache_tokens=160)
    served = simulate(profile(STEP_TIME, tight), 1, arrivals((0.0, 64, 3), (0.1, 100, 1)), method=method)
    assert served.first_step_s[1] == pytest.approx(served.last_token_s[0])
    assert served.preemptions == 0
    assert served.kv_peak_fraction == pytest.approx(0.7)


def test_a_small_request_does_not_overtake_the_one_at_the_head_of_the_queue(method: Method) -> None:
    tight = limits(kv_cache_tokens=160)
    served = simulate(profile(STEP_TIME, tight), 1, arrivals((0.0, 64, 3), (0.1, 100, 1), (0.2, 16, 1)), method=method)
    assert served.first_step_s[2] >= served.first_step_s[1] >= served.last_token_s[0]


def test_the_newest_is_preempted_and_computed_again(method: Method) -> None:
    # Four blocks of 16. Both prompts take two and fill them; the first decode of the first request finds none.
    tight = limits(kv_cache_tokens=64)
    served = simulate(profile(STEP_TIME, tight), 1, arrivals((0.0, 32, 4), (0.0, 32, 4)), method=method)
    prefill = 1 + 0.64
    alone = [1 + 0.1 + 0.033, 1 + 0.1 + 0.034, 1 + 0.1 + 0.035]
    assert served.preemptions == 1
    assert served.last_token_s[0] == pytest.approx(prefill + sum(alone))
    # The second has one token, so 33 are computed again, which gives its second token; two decodes are left.
    again = [1 + 0.33, 1 + 0.1 + 0.034, 1 + 0.1 + 0.035]
    assert served.last_token_s[1] == pytest.approx(prefill + sum(alone) + sum(again))
    assert served.first_token_s.tolist() == pytest.approx([prefill, prefill])


def test_cached_prompt_tokens_are_not_computed_but_held(method: Method) -> None:
    served = simulate(profile(STEP_TIME, limits()), 1, arrivals((0.0, 60, 2), prefix_hit_fraction=0.5), method=method)
    assert served.first_token_s[0] == pytest.approx(1.30)
    assert served.last_token_s[0] == pytest.approx(1.30 + 1 + 0.1 + 0.061)


def test_each_request_goes_to_the_replica_with_the_fewest_outstanding(method: Method) -> None:
    served = simulate(
        profile(STEP_TIME, limits()), 2, arrivals((0.0, 10, 9), (0.1, 10, 1), (0.2, 10, 1), (5.0, 10, 1)), method=method
    )
    assert served.first_step_s[1] == pytest.approx(0.1)  # the other replica is idle
    assert served.first_step_s[2] == pytest.approx(1.1)  # one each: the first of the two, at its next step
    assert served.first_step_s[3] == pytest.approx(5.0)  # the second one has been idle for long


def test_requests_that_can_never_fit_are_refused_and_counted(method: Method) -> None:
    served = simulate(
        profile(STEP_TIME, limits(max_model_len=50)), 1, arrivals((0.0, 45, 5), (0.0, 46, 5)), method=method
    )
    assert served.too_long == 1
    assert served.first_token_s.size == 1
    # The last token takes no room: it is never read again.
    assert fits(limits(kv_cache_tokens=32), np.array([31, 32, 32]), np.array([2, 1, 2])).tolist() == [True, True, False]


def test_more_decodes_than_tokens_in_a_step_take_turns_without_loss(method: Method) -> None:
    served = simulate(
        profile(STEP_TIME, limits(max_num_batched_tokens=2, max_num_seqs=8)),
        1,
        arrivals(*[(0.0, 1, 5)] * 6),
        method=method,
    )
    assert np.isfinite(served.last_token_s).all()
    assert served.gaps.sum() == 6 * 4


def test_an_aborted_request_gives_back_its_place_and_its_memory() -> None:
    scheduler = Scheduler(STEP_TIME, limits(max_num_seqs=1), slots=3)
    slots = [scheduler.add(20, 5) for _ in range(3)]
    with pytest.raises(InputError, match="too many"):
        scheduler.add(20, 5)
    assert scheduler.begin_step() == pytest.approx(1.2)
    assert scheduler.end_step()[0].tolist() == slots[:1]
    assert (scheduler.running, scheduler.waiting) == (1, 2)
    scheduler.abort(slots[1])
    scheduler.abort(slots[0])
    assert (scheduler.running, scheduler.waiting, scheduler.kv_cache_usage_fraction) == (0, 1, 0.0)
    assert scheduler.begin_step() == pytest.approx(1.2)
    assert scheduler.end_step()[0].tolist() == slots[2:]
    for _ in range(4):
        assert scheduler.begin_step() == pytest.approx(1.1, abs=0.03)
        emitted, finished = scheduler.end_step()
        assert emitted.tolist() == slots[2:]
    assert finished.tolist() == slots[2:]
    assert scheduler.begin_step() is None
    assert sorted(scheduler.add(20, 5) for _ in range(3)) == sorted(slots)


@pytest.mark.parametrize(("prompt", "output"), [(0, 1), (1, 0), (995, 6), (1601, 1)])
def test_a_request_that_makes_no_sense_is_refused(prompt: int, output: int) -> None:
    with pytest.raises(InputError, match="tokens"):
        Scheduler(STEP_TIME, limits(), slots=3).add(prompt, output)
