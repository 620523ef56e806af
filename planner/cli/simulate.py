"""`planner simulate`: a load on replicas of a profile, in simulated time."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import CANNOT_BE_TRUSTED, Json, Quiet


def simulate(
    profile: Annotated[Path, typer.Option("--profile", help="A planner.profile file.", show_default=False)],
    replicas: Annotated[int, typer.Option("--replicas", help="Replicas that share the load.")] = 1,
    arrival: Annotated[str, typer.Option("--arrival", help="poisson, constant, gamma, onoff or trace.")] = "poisson",
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate",
            help="Requests per second; a ramp 2..20 over --duration-s, or stages with their seconds 2:30,2..20:60.",
            show_default=False,
        ),
    ] = None,
    burstiness: Annotated[
        float | None,
        typer.Option("--burstiness", help="Squared CV of the gaps, for gamma; 1 is Poisson.", show_default=False),
    ] = None,
    bursts: Annotated[
        str | None,
        typer.Option(
            "--bursts",
            help="For onoff: factor=4,on_s=10,off_s=40; the rate while on over the mean, mean seconds on and off.",
            show_default=False,
        ),
    ] = None,
    input_tokens: Annotated[
        str | None,
        typer.Option("--input-tokens", help="512, or lognormal:p50=900,p95=3200.", show_default=False),
    ] = None,
    output_tokens: Annotated[
        str | None, typer.Option("--output-tokens", help="128, or a lognormal likewise.", show_default=False)
    ] = None,
    requests: Annotated[
        int | None, typer.Option("--requests", help="How many requests [default: 10000].", show_default=False)
    ] = None,
    duration_s: Annotated[
        float | None, typer.Option("--duration-s", help="Or for how many seconds.", show_default=False)
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", help="CSV: timestamp, input_tokens, output_tokens.", show_default=False),
    ] = None,
    trace_speed: Annotated[
        float | None,
        typer.Option("--trace-speed", help="Times as fast as the trace was [default: 1].", show_default=False),
    ] = None,
    slo: Annotated[
        str | None, typer.Option("--slo", help="ttft_p95_s=0.5,tpot_p95_s=0.04, for goodput.", show_default=False)
    ] = None,
    routing: Annotated[
        str, typer.Option("--routing", help="least-outstanding or round-robin: which replica gets a request.")
    ] = "least-outstanding",
    seed: Annotated[int, typer.Option("--seed", help="Of arrivals and lengths.", min=0)] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Replay a load through replicas of a profile.

    Exits 4 where more is offered than can be served.

    Example: planner simulate --profile p.json --rate 8 --input-tokens 512 --output-tokens 128
    """
    from planner.cli.progress import progress, tell
    from planner.report.loads import load_table
    from planner.workflows.simulate import parse_routing, simulate_load
    from planner.workflows.workload import parse_load, parse_slo

    load = parse_load(
        arrival=arrival,
        rate=rate,
        burstiness=burstiness,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        requests=requests,
        duration_s=duration_s,
        trace=trace,
        bursts=bursts,
        trace_speed=trace_speed,
    )
    with progress("simulating", quiet) as show:
        result = simulate_load(profile, replicas, load, parse_slo("--slo", slo), seed, show, parse_routing(routing))
    if json:
        typer.echo(result.model_dump_json(by_alias=True))
    else:
        typer.echo(load_table([result]), nl=False)
    for warning in result.warnings:
        tell(f"warning: {warning}")
    if result.is_saturated:
        raise typer.Exit(CANNOT_BE_TRUSTED)
