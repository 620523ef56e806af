"""The options of `planner bench`: all mistakes at once."""

import pytest

from planner.errors import UsageError
from planner.workflows.bench_options import BenchOptions, BenchPlan, read_options

URL = "http://h"


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
    assert read(sweep=True, rate="1,2", concurrency="4").rates == (1.0, 2.0)


def test_defaults_are_a_short_load() -> None:
    plan = read(rate="5")
    assert (plan.input_tokens.p50, plan.output_tokens.p50) == (512, 128)
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
    )
    starts = [line.split(":")[0] for line in told]
    once = "url, --serve|arrival|endpoint|input-tokens|output-tokens|requests|requests and --duration-s|duration-s|slo"
    twice = (
        "limits|accelerator|max-error-fraction|timeout-s|rate|header|header"  # its form, and that --url must be there
    )
    assert sorted(starts) == sorted(f"--{name}" for name in f"{once}|{twice}".split("|"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": None, "rate": "1"}, "--url, --serve: one of them"),
        ({}, "--rate: is missing; or --sweep"),
        ({"arrival": "closed"}, "--concurrency: is missing, and --arrival closed needs it"),
        ({"arrival": "trace"}, "--trace: is missing, and --arrival trace needs it"),
        ({"rate": "1,2"}, "--rate: must be requests per second, above 0; more of them, with commas between, only with"),
        ({"rate": "0"}, "--rate: must be requests per second, above 0; given: 0"),
        ({"rate": "nan"}, "--rate: must be"),
        ({"concurrency": "1.5"}, "--concurrency: must be a whole number of users from 1 to"),
        ({"rate": "1", "concurrency": "2"}, "--concurrency: not used with --arrival poisson"),
        ({"rate": "1", "arrival": "gamma"}, "--burstiness: is missing"),
        ({"rate": "1", "burstiness": 2.0}, "--burstiness: not used with --arrival poisson"),
        ({"rate": "1", "vllm_args": ("--x",)}, "arguments after --: only with --serve"),
        ({"rate": "1", "headers": ("A=GONE",)}, "--header A: the environment has no variable"),
        ({"sweep": True, "arrival": "closed", "rate": "1"}, "--rate: not used with --arrival closed"),
    ],
)
def test_each_mistake_says_what_is_allowed(options: dict[str, object], message: str) -> None:
    (told,) = mistakes(**options)
    assert told.startswith(message)
