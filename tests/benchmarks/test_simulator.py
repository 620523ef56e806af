"""The simulator's benchmark: a scheduler that shares no code with ours agrees, and limits that are missed are told."""

import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
from benchmark_modules import benchmark_modules
from profiles import profile

from planner.core.simulate import simulate


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ...]]:
    """The benchmark and the plain stepper."""
    with benchmark_modules("simulator", "plain_stepper") as found:
        yield found


@pytest.mark.parametrize(("rate_per_s", "most_sequences", "most_tokens"), [(5.0, 256, 2048), (40.0, 8, 300)])
def test_a_scheduler_of_a_few_lines_gives_the_same_times(
    modules: tuple[ModuleType, ...], rate_per_s: float, most_sequences: int, most_tokens: int
) -> None:
    benchmark, plain = modules
    load, toy = benchmark.conversation(150, rate_per_s, 4.0), benchmark.TOY
    changed = {"max_num_seqs": most_sequences, "max_num_batched_tokens": most_tokens}
    served = simulate(profile(toy.step_time_s, toy.limits.model_copy(update=changed)), 1, load)
    requests = list(zip(load.arrival_s, load.prompt_tokens, load.output_tokens, strict=True))
    costs = (0.006, 2.1e-5, 2e-5, 3e-8)
    first_s, last_s = np.array(plain.plain_steps(requests, costs, most_sequences, most_tokens)).T
    assert served.method == "jump"
    assert served.first_token_s == pytest.approx(first_s, abs=1e-9)
    assert served.last_token_s == pytest.approx(last_s, abs=1e-9)


def test_lengths_are_those_of_the_conversations(modules: tuple[ModuleType, ...]) -> None:
    load = modules[0].conversation(200_000, 10.0, 4.0)
    assert np.quantile(load.prompt_tokens, [0.5, 0.9]) == pytest.approx([1020, 2735], rel=0.02)
    assert np.quantile(load.output_tokens, [0.5, 0.9]) == pytest.approx([129, 424], rel=0.02)
    assert (load.prompt_tokens.mean(), load.output_tokens.mean()) == pytest.approx((1155, 211), rel=0.02)
    gaps_s = np.diff(load.arrival_s)
    assert (gaps_s.mean(), gaps_s.var() / gaps_s.mean() ** 2) == pytest.approx((0.1, 4.0), rel=0.05)


@pytest.mark.parametrize(("most_apart", "exit_code"), [(0.005, 0), (-1.0, 1)])
def test_a_limit_that_is_missed_fails_the_command(
    modules: tuple[ModuleType, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    most_apart: float,
    exit_code: int,
) -> None:
    benchmark = modules[0]
    monkeypatch.setattr(benchmark, "COMPARED", 300)
    monkeypatch.setattr(benchmark, "MOST_APART", most_apart)
    monkeypatch.setattr(sys, "argv", ["simulator.py", "--only", "agreement"])
    assert benchmark.main() == exit_code
    rows = capsys.readouterr().out.splitlines()
    assert len([row for row in rows if row.startswith("|")]) == 2 + 6
