"""Figures of a server and its GPUs from looks at them."""

from math import inf
from typing import Any

import pytest

from planner.engines.counters import Buckets, Counters
from planner.engines.gpus import Gpu, GpuReading
from planner.loadtest.probe import Look, Looks, ServerReading
from planner.loadtest.server_figures import Counts, Window, mean_power_w, samples, server_figures
from planner.schema.telemetry import CrossCheck, GpuFigures, ServerFigures

GPUS = (Gpu(0, "A", "GPU-0", 80), Gpu(1, "B", "GPU-1"))
START_S = 1000.0
WINDOW = Window(START_S, 0.0, 10.0)


def gpu_looks(*readings: tuple[float, dict[str, Any]]) -> Looks:
    return Looks([Look(START_S + time_s, None, (GpuReading(0, **said),)) for time_s, said in readings])


def gpu(looks: Looks, window: Window = WINDOW) -> GpuFigures:
    (found,) = server_figures(window, looks, GPUS[:1], Counts()).gpus
    return found


def test_levels_are_means_over_the_time_of_the_requests_alone() -> None:
    pages = [(-5.0, 0.0), (-1.0, 8.0), (1.0, 8.0), (9.0, 4.0), (11.0, 2.0), (20.0, 50.0)]
    looks = Looks([Look(START_S + time_s, ServerReading(running=running)) for time_s, running in pages])
    figures = server_figures(WINDOW, looks, (), Counts())
    assert figures.running is not None
    # A second at 8, eight from 8 to 4, one from 4 to 3.
    assert figures.running.mean == pytest.approx((8 + 8 * 6 + 3.5) / 10)
    assert figures.running.max == 8
    assert (figures.pages, figures.waiting, figures.gpus, figures.power_w) == (2, None, [], None)


def test_energy_is_that_of_the_counter_where_there_is_one() -> None:
    # 100 W before the load, then 300 W; the sampled power lags behind, as it does.
    looks = gpu_looks(
        (-10.0, {"energy_j": 0.0, "power_w": 100.0}),
        (0.0, {"energy_j": 1000.0, "power_w": 100.0}),
        (5.0, {"energy_j": 2500.0, "power_w": 280.0}),
        (10.0, {"energy_j": 4000.0, "power_w": 310.0}),
    )
    found = gpu(looks)
    assert (found.energy_j, found.energy_by) == (3000.0, "counter")
    assert found.power_w is not None
    assert (found.power_w.mean, found.power_w.max) == (300.0, 310.0)


@pytest.mark.parametrize("counter", [(None, None, None), (0.0, 0.0, 0.0), (900.0, 950.0, 10.0)])
def test_without_a_counter_that_counts_energy_is_sampled_power(counter: tuple[float | None, ...]) -> None:
    times_s, powers_w = (0.0, 5.0, 10.0), (100.0, 300.0, 300.0)
    looks = gpu_looks(
        *((time_s, {"energy_j": j, "power_w": w}) for time_s, j, w in zip(times_s, counter, powers_w, strict=True))
    )
    found = gpu(looks)
    assert (found.energy_j, found.energy_by) == (5 * 200 + 5 * 300, "power")


def test_a_gpu_that_tells_nothing_has_no_figures_and_leaves_none_in_all() -> None:
    first = {"energy_j": 0.0}, {"energy_j": 100.0}
    looks = Looks(
        [
            Look(START_S + time_s, None, (GpuReading(0, **said), GpuReading(1)))
            for time_s, said in zip((0.0, 10.0), first, strict=True)
        ]
    )
    figures = server_figures(WINDOW, looks, GPUS, Counts(told_output_tokens=50))
    assert [one.energy_j for one in figures.gpus] == [100.0, None]
    assert figures.gpus[1].model_dump(exclude_none=True) == {"index": 1, "name": "B"}
    assert (figures.power_w, figures.energy_j, figures.energy_per_output_token_j) == (None, None, None)


def test_energy_per_token_is_of_the_tokens_that_the_server_counted() -> None:
    looks = gpu_looks((0.0, {"energy_j": 0.0}), (10.0, {"energy_j": 600.0}))
    check = CrossCheck(server=1200, client=1000, client_most=1000)
    by_server = server_figures(WINDOW, looks, GPUS[:1], Counts(checks={"output_tokens": check}))
    assert (by_server.energy_j, by_server.power_w, by_server.energy_per_output_token_j) == (600.0, 60.0, 0.5)
    by_answers = server_figures(WINDOW, looks, GPUS[:1], Counts(told_output_tokens=1000))
    assert by_answers.energy_per_output_token_j == 0.6
    assert server_figures(WINDOW, looks, GPUS[:1], Counts()).energy_per_output_token_j is None


def page(queries: float, hits: float, ttft: dict[float, float], sum_s: float) -> Counters:
    totals = {
        "vllm:prefix_cache_queries_total{engine=0}": queries,
        "vllm:prefix_cache_hits_total{engine=0}": hits,
        "vllm:num_preemptions_total{engine=0}": queries / 100,
    }
    return Counters(1.0, totals, {}, {"vllm:time_to_first_token_seconds": Buckets(ttft, sum_s)})


def test_counters_and_histograms_are_of_what_came_in_between() -> None:
    before = page(1000.0, 900.0, {0.1: 5.0, 0.5: 7.0, inf: 7.0}, 2.0)
    after = page(3000.0, 1400.0, {0.1: 5.0, 0.5: 16.0, inf: 17.0}, 6.0)
    figures = server_figures(WINDOW, Looks(), (), Counts(before, after))
    assert (figures.prefix_cache_hit_fraction, figures.preemptions) == (0.25, 20)
    assert figures.ttft_s is not None
    assert (figures.ttft_s.n, figures.ttft_s.mean) == (10, pytest.approx(0.4))
    assert (figures.ttft_s.p50, figures.ttft_s.p90, figures.ttft_s.p95) == ((0.1, 0.5), (0.1, 0.5), (0.5, None))
    assert figures.itl_s is None
    same = server_figures(WINDOW, Looks(), (), Counts(before, before))
    assert (same.ttft_s, same.prefix_cache_hit_fraction, same.preemptions) == (None, None, 0)


def test_figures_and_samples_are_read_again_as_they_were_written() -> None:
    looks = gpu_looks((0.0, {"energy_j": 0.0, "throttled_by": ("power limit",)}), (10.0, {"energy_j": 600.0}))
    looks.seen.append(Look(START_S + 3.25, ServerReading(started_s=7.0, running=3.0, output_tokens=20.0)))
    before = page(1000.0, 900.0, {0.1: 5.0, 0.5: 7.0, inf: 7.0}, 2.0)
    figures = server_figures(WINDOW, looks, GPUS[:1], Counts(before, page(2000.0, 950.0, {0.1: 6.0, inf: 9.0}, 3.0)))
    assert ServerFigures.model_validate_json(figures.model_dump_json()) == figures
    assert figures.gpus[0].throttled_by == ["power limit"]
    lines = list(samples(looks, START_S))
    assert [line.time_s for line in lines] == [0.0, 3.25, 10.0]
    assert lines[1].server is not None
    assert (lines[1].server.running, lines[1].server.output_tokens, lines[1].gpus) == (3.0, 20.0, [])
    assert lines[0].gpus[0].throttled_by == ["power limit"]


def test_idle_power_is_of_all_gpus_from_the_first_look_to_the_last() -> None:
    seen = [
        Look(START_S + time_s, None, (GpuReading(0, energy_j=time_s * 60.0), GpuReading(1, power_w=40.0)))
        for time_s in (0.0, 1.0, 2.0)
    ]
    assert mean_power_w(Looks(seen), GPUS) == pytest.approx(100.0)
    assert mean_power_w(Looks(), GPUS) is None
