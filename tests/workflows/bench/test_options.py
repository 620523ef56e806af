"""The options of `planner bench`: all mistakes at once."""

from pathlib import Path

import pytest

from planner.core.arrivals import Stream
from planner.core.bursts import OnOff
from planner.core.think import ThinkTime
from planner.errors import UsageError
from planner.workflows.bench.options import BenchOptions, BenchPlan, read_options

URL = "http://h"
RATES = "requests per second such as 5, a ramp such as 2..20, or stages with their seconds such as 2:30,2..20:60"
ONOFF = {"rate": "1", "arrival": "onoff"}


def read(**options: object) -> BenchPlan:
    return read_options(BenchOptions(**{"url": URL, **options}), {})  # type: ignore[arg-type]


def mistakes(**options: object) -> list[str]:
    with pytest.raises(UsageError) as caught:
        read(**options)
    return str(caught.value).splitlines()


def test_arrival_follows_from_the_load() -> None:
    assert read(rate="5").arrival == "poisson"
    assert read(concurrency="5").arrival == "closed"
    assert read(sweep=True).arrival == "poisson"
    assert [rate.first_per_s for rate in read(sweep=True, rate="1,2", concurrency="4").rates] == [1, 2]
    assert read(rate="5", arrival="gamma", burstiness=4.0).stream == Stream("gamma", 4.0)
    on_off = read(rate="5", arrival="onoff", bursts="factor=4,on_s=10,off_s=40")
    assert on_off.stream == Stream("poisson", bursts=OnOff(4.0, 10.0, 40.0))


def test_ramps_last_as_long_as_the_load_and_stages_as_they_say() -> None:
    ramp = read(rate="2..20", duration_s=60.0)
    assert (ramp.extent.duration_s, ramp.rates[0].end_s, ramp.rates[0].mean_per_s(60.0)) == (60, 60, 11)
    assert read(rate="2..20").rates[0].end_s == 30, "as long as any load that does not say"
    stages = read(rate="2:30,0:10,2..20:60")
    (rate,) = stages.rates
    assert (stages.extent.duration_s, stages.extent.requests, rate.end_s) == (100, None, 100)
    assert [rate.count(time_s) for time_s in (30, 40, 100)] == [60, 60, 720]
    assert read(rate="3..3").rates[0].is_constant
    assert mistakes(rate="2..20", duration_s=-1.0) == ["--duration-s: must be above 0; given: -1"]


def test_users_who_think() -> None:
    assert read(concurrency="5").think is None
    assert read(concurrency="5", think_time_s="2").think == ThinkTime(2.0)
    assert read(concurrency="5", think_time_s="exponential:mean=2").think == ThinkTime(2.0, "exponential")
    spread = read(sweep=True, think_time_s="lognormal:p50=2,p95=10").think
    assert spread == ThinkTime(2.0, "lognormal", 10.0)


def test_defaults_are_a_short_load() -> None:
    plan = read(rate="5")
    assert (plan.lengths.prompts.p50, plan.lengths.answers.p50) == (512, 128)
    assert (plan.extent.requests, plan.extent.duration_s, plan.extent.warmup_s) == (None, 30.0, 0.0)
    assert read(rate="5", requests=3).extent.duration_s is None


def test_what_the_user_knows_of_the_server() -> None:
    plan = read(rate="1", limits="max_num_seqs=256, max_num_batched_tokens=8192", accelerator="NVIDIA H100:2")
    assert plan.limits.model_dump(exclude_none=True) == {"max_num_seqs": 256, "max_num_batched_tokens": 8192}
    assert plan.accelerator is not None
    assert (plan.accelerator.name, plan.accelerator.count) == ("NVIDIA H100", 2)
    assert read(rate="1", accelerator="A:B").accelerator.name == "A:B"  # type: ignore[union-attr]


def test_all_mistakes_at_once() -> None:
    told = mistakes(
        url="ftp://h",
        serve="m",
        arrival="often",
        endpoint="talk",
        input_tokens="many",
        output_tokens="lognormal:p50=9",
        requests=0,
        duration_s=-1.0,
        slo="ttft=1",
        limits="seqs=4",
        accelerator=":2",
        max_error_fraction=2.0,
        headers=("Authorization",),
        timeout_s=0.0,
        ttft_timeout_s=float("nan"),
        idle_timeout_s=-1.0,
    )
    starts = [line.split(":")[0] for line in told]
    once = "url, --serve|arrival|endpoint|input-tokens|output-tokens|requests|requests and --duration-s|duration-s|slo"
    # A header's form, and that --url must be there for it.
    twice = "limits|accelerator|max-error-fraction|timeout-s|ttft-timeout-s|idle-timeout-s|rate|header|header"
    assert sorted(starts) == sorted(f"--{name}" for name in f"{once}|{twice}".split("|"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": None, "rate": "1"}, "--url, --serve: one of them"),
        ({}, "--rate: is missing; or --sweep"),
        ({"arrival": "closed"}, "--concurrency: is missing, and --arrival closed needs it"),
        ({"arrival": "trace"}, "--trace: is missing, and --arrival trace needs it"),
        ({"rate": "1,2"}, f"--rate: must be {RATES}; more of them, with commas between, only with --sweep; given: 1,2"),
        ({"rate": "0"}, "--rate: must be above 0; given: 0"),
        ({"rate": "nan"}, "--rate: must be 0, or from 1e-06 to 1e+06 requests/s; given: nan"),
        ({"rate": "2-20"}, f"--rate: must be {RATES}; given: 2-20"),
        ({"rate": "2..x"}, f"--rate: must be {RATES}; given: 2..x"),
        ({"rate": "0..0"}, "--rate: must be above 0; given: 0..0"),
        ({"rate": "2:30,8"}, "--rate: must be stages of a rate and the seconds that it lasts, above 0, such as"),
        ({"rate": "2:0"}, "--rate: must be stages of a rate and the seconds that it lasts, above 0, such as"),
        ({"rate": "0:5,0:9"}, "--rate: must be at least 0, and above 0 in some stage; given: 0:5,0:9"),
        ({"rate": "2:5", "requests": 9}, "--requests: not with stages, which last as long as they say"),
        ({"rate": "2:5", "duration_s": 9.0}, "--duration-s: not with stages, which last as long as they say"),
        ({"rate": "2..5", "requests": 9}, "--requests: not with a ramp, which lasts for a time: --duration-s"),
        ({"rate": "2..5", "sweep": True}, "--rate: a ramp or stages are one load, without --sweep; given: 2..5"),
        ({"rate": "1", "arrival": "onoff"}, "--bursts: is missing, and --arrival onoff needs it"),
        ({"rate": "1", "bursts": "factor=4,on_s=10,off_s=40"}, "--bursts: not used with --arrival poisson"),
        (ONOFF | {"bursts": "factor=4"}, "--bursts: must be factor=TIMES,on_s=SECONDS,off_s=SECONDS, such as factor=4"),
        (
            ONOFF | {"bursts": "factor=6,on_s=10,off_s=40"},
            "--bursts: factor: must be above 1 and at most (on_s + off_s)"
            " / on_s, here 5, where the rate while off is 0; given: factor=6,on_s=10,off_s=40",
        ),
        (ONOFF | {"bursts": "factor=2,on_s=0,off_s=40"}, "--bursts: on_s: must be above 0; given: "),
        ({"rate": "1", "think_time_s": "2"}, "--think-time-s: only with --concurrency, whose users think"),
        ({"sweep": True, "rate": "1", "think_time_s": "2"}, "--think-time-s: only with --concurrency, whose users"),
        ({"concurrency": "1", "think_time_s": "long"}, "--think-time-s: must be seconds such as 2, exponential:mean=2"),
        (
            {"concurrency": "1", "think_time_s": "exponential:mean=0"},
            "--think-time-s: mean: must be above 0 and at most",
        ),
        ({"rate": "1", "trace_speed": 2.0}, "--trace-speed: only with --trace"),
        ({"trace": Path("t.csv"), "trace_speed": 0.0}, "--trace-speed: must be from 0.001 to 1e+06 times; given: 0"),
        ({"concurrency": "1.5"}, "--concurrency: must be a whole number of users from 1 to"),
        ({"rate": "1", "concurrency": "2"}, "--concurrency: not used with --arrival poisson"),
        ({"rate": "1", "arrival": "gamma"}, "--burstiness: is missing"),
        ({"rate": "1", "burstiness": 2.0}, "--burstiness: not used with --arrival poisson"),
        ({"rate": "1", "vllm_args": ("--x",)}, "arguments after --: only with --serve"),
        (
            {"url": None, "serve": "m", "rate": "1", "vllm_args": ("--api-key", "k")},
            "arguments after --: --api-key would be written into the run; set VLLM_API_KEY in the environment instead",
        ),
        (
            {"url": None, "serve": "m", "rate": "1", "vllm_args": ("--hf-token=t",)},
            "arguments after --: --hf-token would be written into the run; set HF_TOKEN in the environment instead",
        ),
        ({"rate": "1", "headers": ("A=GONE",)}, "--header A: the environment has no variable"),
        ({"sweep": True, "arrival": "closed", "rate": "1"}, "--rate: not used with --arrival closed"),
    ],
)
def test_each_mistake_says_what_is_allowed(options: dict[str, object], message: str) -> None:
    (told,) = mistakes(**options)
    assert told.startswith(message)
