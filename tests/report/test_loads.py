"""Load points as text, from figures that are given."""

from planner.report.loads import load_table
from planner.schema.benchmark import ArrivalFigures, ClientHealth, LoadPoint, RequestCounts, Settling, Statistics
from planner.schema.telemetry import BucketedTime, CrossCheck, GpuFigures, Level, ServerFigures

KNOWN = Statistics(
    n=100, mean=0.2, p50=0.1, p90=0.3, p95=0.4, p99=1.5, ci95_p50=(0.09, 0.11), ci95_p90=(0.25, 0.36)
)  # fmt: skip
NONE = Statistics(n=0)


def a_point(**more: object) -> LoadPoint:
    told = {
        "offered_requests_per_s": 5.0,
        "achieved_requests_per_s": 4.75,
        "arrivals": ArrivalFigures(
            requests_per_s=5.125, cv=0.96, ci95_requests_per_s=(4.5, 5.5), ci95_cv=(0.875, 1.125)
        ),
        "requests": RequestCounts(sent=102, ok=100, failed=2),
        "errors": {"http_500": 2},
        "input_tokens_per_s": 2500.0,
        "output_tokens_per_s": 600.0,
        "ttft_s": KNOWN,
        "itl_s": KNOWN,
        "tpot_s": KNOWN,
        "e2e_s": KNOWN,
        "lag_s": KNOWN,
        "client": ClientHealth(cpu_fraction=0.25, loop_lag_p99_s=0.002),
    }
    return LoadPoint.model_validate(told | more)


def row(table: str, name: str) -> str:
    return next(line for line in table.splitlines() if line.strip().startswith(f"{name} "))


def test_one_point_is_shown_in_full() -> None:
    table = load_table([a_point(goodput_requests_per_s=4.5, goodput_fraction=0.9, tokens_per_chunk=2.5)])
    assert "102 sent, 100 ok, 2 failed (http_500 2)" in table
    assert "5.125 requests/s (expected 4.500 to 5.500); CV of the gaps 0.960 (expected 0.875 to 1.125)" in table
    assert "4.75 requests/s, 2,500 input tokens/s, 600 output tokens/s" in table
    assert "4.5 requests/s, 90.0% of those sent" in table
    assert "2.500 per chunk" in table
    assert "0.25 of a core, p99 of the lag of its event loop 2.000 ms" in table
    for name in ("TTFT", "ITL", "TPOT", "E2E", "lag"):
        shown = row(table, name).split()
        assert shown[:5] == [name, "100", "200.0", "100.0", "[90.00–110.0]"]
        assert shown[5:7] == ["300.0", "[250.0–360.0]"]
        assert shown[7:] == ["400.0", "[not", "estimable]", "1,500", "[not", "estimable]"]
    assert "(last − first token) / (output tokens − 1), by request [ms]" in table


def test_lower_bounds_are_marked() -> None:
    table = load_table([a_point(is_lower_bound=True)])
    assert "≥400.0 [not estimable]" in row(table, "TTFT")
    assert "≥" not in row(table, "lag"), "how late a request was sent is known, whatever became of it"
    assert "a lower bound" in table
    assert "≥" not in load_table([a_point()])


def test_points_are_shown_side_by_side_on_lines_of_a_terminal() -> None:
    users = a_point(offered_requests_per_s=None, concurrency=8, lag_s=Statistics(), is_lower_bound=True)
    lines = load_table([users, a_point(is_saturated=True)]).splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["load", "8", "5/s"]
    assert "(too much)" in lines[2]
    assert "5.125  0.960" in lines[5]
    assert max(len(line) for line in lines) <= 120


def test_what_a_load_began_with_and_how_sure_its_rates_are_is_told() -> None:
    told: dict[str, object] = {
        "is_steady": True,
        "settling": Settling(requests=1064, time_s=3.25),
        "ci95_achieved_requests_per_s": (4.5, 5.0),
        "ci95_output_tokens_per_s": (550.0, 12_345.0),
        "goodput_requests_per_s": 4.5,
        "goodput_fraction": 0.9,
        "ci95_goodput_fraction": (0.875, 0.925),
    }
    table = load_table([a_point(**told)])
    start = "the first 1,064 requests, 3.250 s, are in no figure: the server was settling"
    assert row(table, "steady").split(maxsplit=1)[1] == f"yes; {start}"
    assert "4.75 requests/s [4.500–5.000], 2,500 input tokens/s, 600 output tokens/s [550.0–12,345]" in table
    assert "90.0% of those sent [87.5%–92.5%]" in table
    several = load_table([a_point(**told), a_point(offered_requests_per_s=7.0)])
    assert f"\n5/s: {start}\n" in several
    assert "7/s:" not in several
    assert row(load_table([a_point(is_steady=False)]), "steady").split() == ["steady", "no"]
    assert row(load_table([a_point()]), "steady").split(maxsplit=1)[1] == "cannot be told"


def test_nothing_is_a_dash() -> None:
    nothing = a_point(
        arrivals=None, client=None, lag_s=Statistics(), **dict.fromkeys(("ttft_s", "itl_s", "tpot_s", "e2e_s"), NONE)
    )
    table = load_table([nothing])
    assert row(table, "TTFT").split() == ["TTFT", "0", *["–"] * 5]
    assert "lag" not in table.replace("lag_s", "")
    assert "sent " not in table.replace("102 sent", "").split("throughput")[0]


def same(count: int) -> CrossCheck:
    return CrossCheck(server=count, client=count, client_most=count)


SERVER = ServerFigures(
    from_s=-1.0,
    until_s=9.0,
    running=Level(mean=7.44, max=8),
    waiting=Level(mean=0.25, max=3),
    kv_used_fraction=Level(mean=0.123, max=0.5),
    preemptions=2,
    prefix_cache_hit_fraction=0.125,
    requests=same(102),
    prompt_tokens=same(20_400),
    output_tokens=CrossCheck(server=4_000, client=3_900, client_most=3_950),
    ttft_s=BucketedTime(n=102, mean=0.0456, p95=(0.04, 0.06)),
    queue_s=BucketedTime(n=102, mean=8.0, p95=(7.68, None)),
)
GPUS = SERVER.model_copy(
    update={
        "gpus": [
            GpuFigures(
                index=1,
                name="H",
                energy_j=6000.0,
                energy_by="counter",
                utilization_fraction=Level(mean=0.75, max=1.0),
                throttled_by=["power limit"],
            )
        ],
        "power_w": 600.0,
        "energy_j": 6000.0,
        "energy_per_output_token_j": 1.5,
    }
)


def test_the_server_s_side_of_one_point_is_told_in_a_few_lines() -> None:
    table = load_table([a_point(server=GPUS)])
    told = "7.4 running (max 8); 0.2 waiting (max 3); KV cache 12.3% (max 50.0%); 2 preempted; 12.5% of prefix cache"
    assert told in row(table, "server")
    counts = row(table, "counts")
    assert "102 requests, 20,400 prompt tokens: by the server and by its answers" in counts
    assert "4,000 output tokens by the server, 3,900 to 3,950 by its answers" in counts
    assert "TTFT mean 45.6 ms, p95 in 40–60 ms; queue mean 8000 ms, p95 in 7680–∞ ms" in table
    gpus = row(table, "GPUs")
    assert "1 H; 600 W, 6,000 J by their energy counters; 1.5 J per output token; busy 75% of the time" in gpus
    assert "clocks kept down by power limit" in gpus
    assert not any(line.startswith("server") for line in load_table([a_point()]).splitlines())


def test_of_several_points_the_server_has_a_line_each() -> None:
    agreed = SERVER.model_copy(update={"output_tokens": same(4_000)})
    lines = load_table([a_point(server=SERVER), a_point(server=agreed), a_point()]).splitlines()
    head = next(place for place, line in enumerate(lines) if "running" in line)
    assert lines[head].split() == ["load", "running", "max", "waiting", "max", "KV", "max", "preempted", "counts"]
    assert lines[head + 1].split() == ["5/s", "7.4", "8", "0.2", "3", "12.3%", "50.0%", "2", "DIFFER"]
    assert lines[head + 2].split()[-1] == "equal"
    assert set(lines[head + 3].split()[1:]) == {"–"}
    with_gpus = load_table([a_point(server=SERVER), a_point(server=GPUS)]).splitlines()
    head = next(place for place, line in enumerate(with_gpus) if "running" in line)
    assert with_gpus[head].split()[-4:] == ["W", "J/token", "GPU", "busy"]
    assert with_gpus[head + 1].split()[-3:] == ["–", "–", "–"]
    assert with_gpus[head + 2].split()[-3:] == ["600", "1.5", "75%"]
