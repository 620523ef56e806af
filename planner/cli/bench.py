"""`planner bench`: load-tests a server."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import CANNOT_BE_TRUSTED, INTERRUPTED, Json, Quiet, given_options

Text = str | None


def bench(
    ctx: typer.Context,
    vllm_args: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- VLLM ARGS]", help="With --serve: what vLLM is started with.", show_default=False),
    ] = None,
    url: Annotated[Text, typer.Option("--url", help="The server, with or without /v1.", show_default=False)] = None,
    serve: Annotated[
        Text,
        typer.Option("--serve", metavar="MODEL", help="Or: start vLLM with this model, and stop it after."),
    ] = None,
    model: Annotated[Text, typer.Option("--model", help="Model [default: the only one offered].")] = None,
    input_tokens: Annotated[
        Text, typer.Option("--input-tokens", help="Prompt length [default: 512]; or lognormal:p50=900,p95=3200.")
    ] = None,
    output_tokens: Annotated[
        Text, typer.Option("--output-tokens", help="Answer length [default: 128]; or a lognormal likewise.")
    ] = None,
    workload: Annotated[
        Path | None,
        typer.Option("--workload", help="Or: a file that says what requests are made of; see planner schema workload."),
    ] = None,
    arrival: Annotated[
        Text,
        typer.Option(
            "--arrival", help="poisson, constant, gamma, onoff, closed or trace [default: as the load is given]."
        ),
    ] = None,
    rate: Annotated[
        Text,
        typer.Option(
            "--rate",
            help="Open loop: requests per second; a ramp 2..20 over --duration-s, "
            "or stages with their seconds 2:30,8:30,2..20:60.",
        ),
    ] = None,
    concurrency: Annotated[Text, typer.Option("--concurrency", help="Closed loop: users that wait.")] = None,
    think_time_s: Annotated[
        Text,
        typer.Option("--think-time-s", help="For how long each thinks before asking: 2, or exponential:mean=2."),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option("--trace", help="Replay: CSV with timestamp, input_tokens, output_tokens; a run's schedule, say."),
    ] = None,
    trace_speed: Annotated[
        float | None, typer.Option("--trace-speed", help="Times as fast as the trace was [default: 1].")
    ] = None,
    burstiness: Annotated[
        float | None, typer.Option("--burstiness", help="Squared CV of the gaps, for gamma; 1 is Poisson.")
    ] = None,
    bursts: Annotated[
        Text,
        typer.Option(
            "--bursts",
            help="For onoff: factor=4,on_s=10,off_s=40; the rate while on over the mean, mean seconds on and off.",
        ),
    ] = None,
    requests: Annotated[int | None, typer.Option("--requests", help="How many requests per load.")] = None,
    duration_s: Annotated[
        float | None,
        typer.Option("--duration-s", help="Or for how many seconds [default: 30; what --time-budget-s leaves]."),
    ] = None,
    warmup_s: Annotated[
        float | None,
        typer.Option(
            "--warmup-s", help="Seconds of load before, counted nowhere [default: 0; with --time-budget-s a tenth]."
        ),
    ] = None,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep",
            help="Several loads: finds saturation, and with --slo the highest load within it, by itself; "
            "or those of --concurrency 1,2,4 and --rate 1,2,4 as lists.",
        ),
    ] = False,
    time_budget_s: Annotated[
        float | None,
        typer.Option(
            "--time-budget-s", help="In all, for a sweep that finds its loads itself; it ends by then [default: 600]."
        ),
    ] = None,
    slo: Annotated[Text, typer.Option("--slo", help="ttft_p95_s=0.5,tpot_p95_s=0.04, for goodput.")] = None,
    endpoint: Annotated[Text, typer.Option("--endpoint", help="chat or completions [default: chat].")] = None,
    header: Annotated[
        list[str] | None,
        typer.Option("--header", metavar="NAME=VARIABLE", help="A header whose value this environment variable holds."),
    ] = None,
    limits: Annotated[
        Text,
        typer.Option("--limits", help="What you know of the server: max_num_seqs=256,max_num_batched_tokens=8192."),
    ] = None,
    accelerator: Annotated[Text, typer.Option("--accelerator", help="Its hardware: NAME or NAME:COUNT.")] = None,
    gpus: Annotated[
        Text,
        typer.Option(
            "--gpus",
            metavar="0,1",
            help="GPUs of this machine to look at meanwhile, as nvidia-smi numbers them, or none "
            "[default: with a server on this machine, those of CUDA_VISIBLE_DEVICES, or all].",
        ),
    ] = None,
    shared_server: Annotated[
        bool,
        typer.Option(
            "--shared-server",
            help="Others use the server meanwhile: where it counts more than its answers tell, only warn.",
        ),
    ] = False,
    processes: Annotated[
        int, typer.Option("--processes", help="Share the schedule among so many processes of the load generator.")
    ] = 1,
    timeout_s: Annotated[float, typer.Option("--timeout-s", help="A request that takes longer has failed.")] = 600.0,
    ttft_timeout_s: Annotated[
        float | None,
        typer.Option("--ttft-timeout-s", help="One whose first token takes longer, likewise [default: --timeout-s]."),
    ] = None,
    idle_timeout_s: Annotated[
        float, typer.Option("--idle-timeout-s", help="One with a longer gap between two chunks, likewise.")
    ] = 120.0,
    max_error_fraction: Annotated[
        float,
        typer.Option(
            "--max-error-fraction",
            help="Exit 4 where more of the requests failed; a load at which most do is given up, but for 1.",
        ),
    ] = 0.05,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Run directory [default: bench-MODEL-DATE-TIME].")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of arrivals and lengths; prompts are always new.", min=0)] = 0,
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume",
            metavar="DIR",
            help="Go on with a run that was interrupted or killed; alone, or with a new --url and --header. "
            "With --time-budget-s, also with a sweep whose time was over.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Load-test a server that speaks the OpenAI API.

    Writes a run directory. In open loop, latencies count from when a request was due. Exits 4 where the client was
    saturated, too many requests failed, the server was restarted or counts other requests and tokens than its answers
    tell, or another model answered; what was measured is printed and kept all the same.

    Example: planner bench --url http://127.0.0.1:8000 --rate 5 --requests 500
    """
    import os

    from planner.cli.progress import status, tell
    from planner.loadtest.progress import progress_text
    from planner.report.loads import load_table
    from planner.report.sweeps import sweep_lines
    from planner.store.files import shown_path
    from planner.workflows.bench.bench import bench as run_bench
    from planner.workflows.bench.options import BenchOptions
    from planner.workflows.bench.resume import refuse_beside_resume, told_of_cuts
    from planner.workflows.bench.run_book import bench_json

    options = BenchOptions(
        url=url,
        serve=serve,
        vllm_args=tuple(vllm_args or ()),
        model=model,
        endpoint=endpoint,
        headers=tuple(header or ()),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        workload=workload,
        arrival=arrival,
        rate=rate,
        concurrency=concurrency,
        think_time_s=think_time_s,
        trace=trace,
        trace_speed=trace_speed,
        burstiness=burstiness,
        bursts=bursts,
        requests=requests,
        duration_s=duration_s,
        warmup_s=warmup_s,
        sweep=sweep,
        time_budget_s=time_budget_s,
        slo=slo,
        limits=limits,
        accelerator=accelerator,
        gpus=gpus,
        shared_server=shared_server,
        processes=processes,
        timeout_s=timeout_s,
        ttft_timeout_s=ttft_timeout_s,
        idle_timeout_s=idle_timeout_s,
        max_error_fraction=max_error_fraction,
        out=out,
        seed=seed,
        resume=resume,
    )
    if resume is not None:
        refuse_beside_resume(given_options(ctx))
    with status(quiet) as show:
        result = run_bench(
            options,
            os.environ,
            lambda label, now: show(progress_text(label, now)),
            lambda waited_s: show(f"vLLM is starting: {waited_s:.0f} s"),
            lambda counted, of: show(f"the server counts the tokens of your prompts: {counted:,} of {of:,}"),
        )
    typer.echo(
        bench_json(result.run, result.directory, sweep or result.is_sweep) if json else load_table(result.points),
        nl=False,
    )
    if result.run.sweep is not None and not json:
        for line in sweep_lines(result.run.sweep, result.run.slo):
            typer.echo(line)
    for warning in result.warnings:
        tell(f"warning: {warning}")
    for doubt in result.doubts:
        tell(f"not to be trusted: {doubt}")
    if (sent := told_of_cuts(result.run)) is not None:
        tell(sent)
    if result.is_old:
        is_all = result.run.sweep is None or result.run.sweep.is_complete
        why = "every load is measured" if is_all else "the time of the sweep is over"
        tell(f"{shown_path(result.directory)}: nothing to do, {why}")
    elif not quiet:
        tell(f"wrote {shown_path(result.directory)}")
    if result.is_interrupted:
        raise typer.Exit(INTERRUPTED)
    if result.doubts:
        raise typer.Exit(CANNOT_BE_TRUSTED)
