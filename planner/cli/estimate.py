"""`planner estimate`: a service profile from published figures, for a machine that nobody has measured."""

from pathlib import Path
from typing import Annotated

import typer

from planner.cli.options import Json, Quiet, Seed


def estimate(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="FILE_OR_NAME",
            help="A model's config.json or its folder, or a name of the shipped table.",
            show_default=False,
        ),
    ],
    accelerator: Annotated[
        str, typer.Option("--accelerator", help="A name of the shipped table, such as H100 SXM.", show_default=False)
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write the profile.", show_default=False)],
    count: Annotated[int, typer.Option("--count", help="Accelerators that share a replica.")] = 1,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", help="Of the weights: bfloat16, fp8, int8, int4, …", show_default="the model's"),
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option(
            "--quantization", help="Of the weights: fp8, awq, gptq, mxfp4, none, …", show_default="the model's"
        ),
    ] = None,
    kv_cache_dtype: Annotated[str, typer.Option("--kv-cache-dtype", help="auto, which is 16 bits, or fp8.")] = "auto",
    max_num_seqs: Annotated[int, typer.Option("--max-num-seqs", help="Most sequences in a step.")] = 256,
    max_num_batched_tokens: Annotated[
        int, typer.Option("--max-num-batched-tokens", help="Most tokens in a step.")
    ] = 8192,
    gpu_memory_utilization: Annotated[
        float, typer.Option("--gpu-memory-utilization", help="Share of the memory that the engine may use.")
    ] = 0.9,
    max_model_len: Annotated[
        int | None, typer.Option("--max-model-len", help="Longest request [tokens].", show_default="the model's")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the profile.", show_default="model on accelerator, estimated")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    seed: Seed = 0,
) -> None:
    """Estimate a service profile, with its range.

    From an accelerator's published figures and a model's shape, by a roofline: for a first look at a machine that
    nobody has measured. It is never taken for a measurement, and no plan on it is graded as a decision.

    Example: planner estimate --model Qwen/Qwen3-8B --accelerator L40S -o qwen3-l40s.json
    """
    from planner.cli.progress import tell
    from planner.report.estimates import estimate_summary
    from planner.store.files import refuse_to_overwrite, shown_path, write_text
    from planner.store.profiles import profile_json
    from planner.workflows.estimate import estimate_profile
    from planner.workflows.estimate_options import EstimateOptions

    refuse_to_overwrite(Path(model), out)
    refuse_to_overwrite(Path(model) / "config.json", out)
    options = EstimateOptions(
        model=model,
        accelerator=accelerator,
        count=count,
        dtype=dtype,
        quantization=quantization,
        kv_cache_dtype=kv_cache_dtype,
        max_num_seqs=max_num_seqs,
        max_num_batched_tokens=max_num_batched_tokens,
        gpu_memory_utilization=gpu_memory_utilization,
        max_model_len=max_model_len,
        name=name,
    )
    estimated = estimate_profile(options)
    text = profile_json(estimated.profile)
    write_text(out, text)
    if not quiet:
        tell(f"wrote {shown_path(out)}")
    for warning in estimated.warnings:
        tell(f"warning: {warning}")
    typer.echo(text if json else estimate_summary(estimated.profile), nl=False)
