"""The fit on timelines whose steps were worked out here, not by the scheduler."""

import numpy as np
import pytest

from planner.core.steptime import Timeline, fit_step_time, observe, token_times_s
from planner.errors import InputError

BASE_S, PREFILL_S, SEQUENCE_S, CONTEXT_S = 0.006, 2e-5, 3e-4, 4e-8


def batches(sizes: list[int], prompts: list[int], output: int, overhead_s: float = 0.0) -> Timeline:
    """Groups of requests that are sent together to an idle engine, and answered before the next group comes.

    Every step is known in closed form: one prefill of all prompts, then decodes of all, each holding one token more.
    """
    sent, prompt, times, now_s = [], [], [], 0.0
    for size, length in zip(sizes, prompts, strict=True):
        first_s = now_s + overhead_s + BASE_S + PREFILL_S * length * size
        held = [size * (length + number) for number in range(1, output)]
        steps_s = [BASE_S + SEQUENCE_S * size + CONTEXT_S * tokens for tokens in held]
        token_s = first_s + np.concatenate([[0.0], np.cumsum(steps_s)])
        sent += [now_s] * size
        prompt += [length] * size
        times += [token_s] * size
        now_s = token_s[-1] + 1.0
    count = len(sent)
    return Timeline(np.array(sent), np.array(prompt), np.full(count, output), np.concatenate(times))


def ladder(overhead_s: float = 0.0) -> list[Timeline]:
    """Load points with differing numbers of requests at once, each with long and short prompts, and some alone."""
    rng = np.random.default_rng(5)
    return [
        batches([1, size, 1, size], [int(x) for x in rng.integers(50, 3000, 4)], 40, overhead_s)
        for size in (1, 2, 4, 8, 16, 32)
    ]


@pytest.mark.parametrize("overhead_s", [0.0, 0.003])
def test_coefficients_come_back(overhead_s: float) -> None:
    found = fit_step_time([observe(timeline, 8192) for timeline in ladder(overhead_s)])
    assert found.step_time.base == pytest.approx(BASE_S, rel=1e-6)
    assert found.step_time.per_prefill_token == pytest.approx(PREFILL_S, rel=1e-6)
    assert found.step_time.per_sequence == pytest.approx(SEQUENCE_S, rel=1e-4)
    assert found.step_time.per_context_token == pytest.approx(CONTEXT_S, rel=1e-3)
    assert found.request_overhead_s == pytest.approx(overhead_s, abs=1e-9)
    assert found.warnings == ()


def test_a_prompt_of_several_pieces_has_several_bases() -> None:
    alone = Timeline(np.array([0.0]), np.array([1000]), np.array([1]), np.array([0.1]))
    assert observe(alone, 300).work.tolist() == [[4.0, 1000.0, 0.0, 0.0, 1.0]]


def test_a_few_outliers_do_not_move_the_fit() -> None:
    timelines = ladder()
    for timeline in timelines:
        timeline.token_s[timeline.first_token[-1] + 39] += 0.5  # one answer's end hung
    found = fit_step_time([observe(timeline, 8192) for timeline in timelines])
    assert found.step_time.base == pytest.approx(BASE_S, rel=0.02)
    assert found.step_time.per_sequence == pytest.approx(SEQUENCE_S, rel=0.05)


def test_chunks_of_several_tokens_do_not_move_the_fit() -> None:
    def merged(timeline: Timeline) -> Timeline:
        times = [
            token_times_s(np.delete(timeline.token_s[start : start + 40], [7, 8, 20]), 40)
            for start in timeline.first_token
        ]
        return Timeline(timeline.sent_s, timeline.prompt_tokens, timeline.output_tokens, np.concatenate(times))

    found = fit_step_time([observe(merged(timeline), 8192) for timeline in ladder()])
    assert found.step_time.base == pytest.approx(BASE_S, rel=0.01)
    assert found.step_time.per_sequence == pytest.approx(SEQUENCE_S, rel=0.02)


def test_what_cannot_be_told_is_said() -> None:
    alike = [batches([size] * 5, [400] * 5, 40) for size in (2, 4, 8)]
    told = " ".join(fit_step_time([observe(timeline, 8192) for timeline in alike]).warnings)
    assert "no request met an idle engine" in told
    assert "per_sequence and per_context_token cannot be told apart" in told


def test_too_few_decodes_are_refused() -> None:
    with pytest.raises(InputError, match="are needed"):
        fit_step_time([observe(batches([2], [100], 10), 8192)])
