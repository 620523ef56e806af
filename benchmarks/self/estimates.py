"""How far `planner estimate` is from what was measured, and how often the truth is within its range.

    python benchmarks/self/estimates.py                       # two minutes
    python benchmarks/self/estimates.py --silicon silicon_sample.csv   # adds TPOT of further machines and models

The truth is in ../shared/reference, which the project does not ship: where it is missing, the script says so and ends.
`silicon_sample.csv` is part of the package aiconfigurator-core 0.12.0 (Apache-2.0).
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from users import closed_loop

from planner.core.roofline import closed_loop_tpot_s
from planner.core.simulate import Arrivals, simulate
from planner.errors import UsageError
from planner.schema.profile import Profile, StepTime
from planner.workflows.estimate import estimate_profile
from planner.workflows.estimate_options import EstimateOptions

REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference"
CLOSED, OPEN = "vllm_h100_llama70b_fp8_closed_loop.csv.gz", "vllm_rtxpro6000_open_loop_requests.csv.gz"
_OPEN_MODELS = {
    "Llama-3.1-8B": ("Llama-3.1-8B", 1, 128, 2048),
    "Qwen3-32B": ("Qwen3-32B", 2, 128, 2048),
    "Qwen3-30B-A3B-Instruct-2507": ("Qwen3-30B-A3B", 2, 256, 4096),
}
"""By the name in the file: model, accelerators, max_num_seqs and max_num_batched_tokens of both together.

Accelerators are those of vllm/meta.json beside the source of each run (casys-kaist/LLMServingSim, commit 5daddb21). The
last run had its experts spread over two data-parallel engines, which no estimate models: it is taken as one engine.
"""
KV_CACHE = {
    ("Llama-3.1-8B", 1): 574_608,
    ("Qwen3-32B", 2): 462_144,
}
"""Tokens that vllm 0.28.0 found room for at a utilization of 0.92 (the same place, commits 0acc21b2 and 0d3de681)."""
_SYSTEMS = {"h100_sxm": "H100 SXM", "h200_sxm": "H200 SXM", "b200_sxm": "B200 SXM"}
_MODELS = {
    "meta-llama/Llama-3.1-70B": "meta-llama/Llama-3.1-70B",
    "openai/gpt-oss-120b": "openai/gpt-oss-120b",
    "Qwen/Qwen3-235B-A22B-FP8": "Qwen/Qwen3-235B-A22B",
    "Qwen/Qwen3-32B": "Qwen/Qwen3-32B",
}
_MOST_USERS = 256
"""More than an engine runs at once: the others wait, and no step time tells how long."""
Figures = dict[str, float]


def cases(options: EstimateOptions) -> dict[str, Profile]:
    """An estimate, and the profiles at both ends of its range, from nothing but the profile itself."""
    profile = estimate_profile(options).profile
    estimate = profile.estimate
    if estimate is None:
        raise ValueError("an estimate without ranges")
    found = {"central": profile}
    for end, memory in (("low", estimate.kv_cache_tokens.high), ("high", estimate.kv_cache_tokens.low)):
        steps = {name: figures[end] for name, figures in estimate.step_time_s.model_dump().items()}
        limits = profile.limits.model_copy(update={"kv_cache_tokens": max(int(memory), 16)})
        found[end] = profile.model_copy(update={"step_time_s": StepTime.model_validate(steps), "limits": limits})
    return found


def compared(truth: Figures, found: dict[str, Figures]) -> dict[str, tuple[float, bool]]:
    """Error of the central estimate as a fraction, and whether the truth is within the range."""
    return {
        name: (
            found["central"][name] / value - 1,
            min(each[name] for each in found.values()) <= value <= max(each[name] for each in found.values()),
        )
        for name, value in truth.items()
    }


def closed_rows(path: Path) -> Iterator[tuple[str, dict[str, tuple[float, bool]]]]:
    """Every load point of the closed-loop table once, by simulation."""
    table = pd.read_csv(path).drop_duplicates(["isl", "osl", "tp_size", "concurrency"])
    for row in table.sort_values(["tp_size", "isl", "osl", "concurrency"]).itertuples():
        options = EstimateOptions(
            model="meta-llama/Llama-3.1-70B", accelerator="H100 SXM", count=int(row.tp_size), dtype="fp8"
        )
        found = {
            name: closed_loop(profile, int(row.concurrency), int(row.isl), int(row.osl))
            for name, profile in cases(options).items()
        }
        truth = {
            "ttft_s": row.silicon_ttft_ms / 1e3,
            "ttft_later_s": row.silicon_ttft_ms / 1e3,
            "tpot_later_s": row.silicon_tpot_ms / 1e3,
        }
        label = f"{int(row.tp_size)} × H100, {row.isl:,} + {row.osl:,} tokens, {int(row.concurrency)} users"
        yield label, compared(truth, found)


def open_rows(path: Path) -> Iterator[tuple[str, dict[str, tuple[float, bool]]]]:
    """The three overloaded runs, request by request through the simulator."""
    table = pd.read_csv(path)
    for measured, (model, count, sequences, batched) in _OPEN_MODELS.items():
        rows = table[table.hw_model == f"RTXPRO6000/{measured}"].sort_values("arrival_s")
        options = EstimateOptions(
            model=model,
            accelerator="RTX PRO 6000",
            count=count,
            max_num_seqs=sequences,
            max_num_batched_tokens=batched,
            gpu_memory_utilization=0.92,
        )
        first, last = rows.first_s - rows.arrival_s, rows.last_s - rows.arrival_s
        truth = _open_figures(first.to_numpy(), last.to_numpy(), rows.output_toks.to_numpy(), float(rows.last_s.max()))
        arrivals = Arrivals.of(
            rows.arrival_s.to_numpy(), rows.input_toks.to_numpy(np.int64), rows.output_toks.to_numpy(np.int64)
        )
        found = {}
        for name, profile in cases(options).items():
            served = simulate(profile, 1, arrivals)
            found[name] = _open_figures(
                served.ttft_s, served.e2e_s, rows.output_toks.to_numpy(), float(served.last_token_s.max())
            )
        yield f"{count} × RTX PRO 6000, {model}, 300 requests at 10/s", compared(truth, found)


def memory_rows() -> Iterator[tuple[str, dict[str, tuple[float, bool]]]]:
    """Room for the KV cache."""
    for (model, count), tokens in KV_CACHE.items():
        options = EstimateOptions(
            model, "RTX PRO 6000", count, max_num_batched_tokens=2048, gpu_memory_utilization=0.92
        )
        found = {name: {"kv_cache_tokens": float(each.limits.kv_cache_tokens)} for name, each in cases(options).items()}
        yield f"{count} × RTX PRO 6000, {model}", compared({"kv_cache_tokens": float(tokens)}, found)


def _open_figures(ttft_s: np.ndarray, e2e_s: np.ndarray, output_tokens: np.ndarray, end_s: float) -> Figures:
    several = output_tokens > 1
    tpot_s = (e2e_s - ttft_s)[several] / (output_tokens[several] - 1)
    return {
        "ttft_s": float(ttft_s.mean()),
        "tpot_s": float(tpot_s.mean()),
        "e2e_s": float(e2e_s.mean()),
        "output_tokens_per_s": float(output_tokens.sum() / end_s),
    }


def silicon_rows(path: Path) -> Iterator[tuple[str, dict[str, tuple[float, bool]]]]:
    """Further load points of one replica without expert or data parallelism, whose users all fit the memory."""
    table = pd.read_csv(path)
    table = table[(table.backend == "vllm") & (table["mode"] == "agg") & table.system.isin(_SYSTEMS)]
    table = table[
        table.precision.isin(["fp8", "fp4"])
        & table.model_path.isin(_MODELS)
        & ~(table.attention_dp_size > 1)
        & ~(table.moe_ep_size > 1)
        & ~(table.moe_tp_size > table.tp_size)
    ]
    table = table[~((table.model_path == "meta-llama/Llama-3.1-70B") & (table.system == "h100_sxm"))]
    table["users"] = table.silicon_data_source.str.extract(r"silicon_concurrency=(\d+)", expand=False).astype(float)
    table = table.dropna(subset=["users"]).drop_duplicates(
        ["model_path", "system", "precision", "isl", "osl", "tp_size", "users", "silicon_tpot_ms"]
    )
    for row in table.sort_values(["model_path", "system", "precision"]).itertuples():
        weights = {"fp4": "nvfp4", "fp8": "fp8"}[row.precision]
        options = EstimateOptions(
            model=_MODELS[row.model_path],
            accelerator=_SYSTEMS[row.system],
            count=int(row.tp_size),
            quantization=None if "gpt-oss" in row.model_path else weights,
        )
        try:
            profiles = cases(options)
        except UsageError:
            continue
        if row.users > _MOST_USERS or row.users * (row.isl + row.osl) > profiles["central"].limits.kv_cache_tokens:
            continue
        found = {
            name: {"tpot_s": closed_loop_tpot_s(profile.step_time_s, row.users, row.isl, row.osl)}
            for name, profile in profiles.items()
        }
        label = f"{row.model_path} {row.precision}, {_SYSTEMS[row.system]}"
        yield label, compared({"tpot_s": row.silicon_tpot_ms / 1e3}, found)


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--silicon", type=Path, help="silicon_sample.csv of aiconfigurator-core 0.12.0")
    silicon = parser.parse_args().silicon
    missing = [name for name in (CLOSED, OPEN) if not (REFERENCE / name).is_file()]
    if missing:
        sys.stdout.write(
            f"skipped: ../shared/reference/{missing[0]} is not there, and nothing else is known for sure\n"
        )
        return
    closed = list(closed_rows(REFERENCE / CLOSED))
    _write("Closed loop: vllm, Llama 3.1 70B in fp8 on H100", [*_each(closed), *_in_all(closed)])
    opened = list(open_rows(REFERENCE / OPEN))
    _write("Open loop beyond capacity: vllm 0.19.0 on RTX PRO 6000, 16 bits", _each(opened))
    _write("Room for the KV cache: vllm 0.28.0", _each(list(memory_rows())))
    if silicon is not None:
        _write("Other machines and models, TPOT by the step time alone", _by_label(list(silicon_rows(silicon))))


Rows = list[tuple[str, dict[str, tuple[float, bool]]]]


def _each(rows: Rows) -> list[str]:
    names = list(rows[0][1])
    lines = ["| | " + " | ".join(f"{name}" for name in names) + " |", "| --- |" + " ---: |" * len(names)]
    for label, figures in rows:
        lines.append(f"| {label} | " + " | ".join(_cell(*figures[name]) for name in names) + " |")
    return lines


def _cell(error: float, is_within: bool) -> str:
    return f"{error:+.0%}" + ("" if is_within else " **out**")


def _in_all(rows: Rows) -> list[str]:
    lines = [""]
    for name in rows[0][1]:
        errors = np.array([abs(figures[name][0]) for _, figures in rows])
        within = sum(figures[name][1] for _, figures in rows)
        lines.append(
            f"{name}: median error {np.median(errors):.0%}, mean {errors.mean():.0%}, largest {errors.max():.0%}; "
            f"within the range {within} of {len(rows)}"
        )
    return lines


def _by_label(rows: Rows) -> list[str]:
    lines = ["| | load points | median error | mean | bias | within the range |", "| --- |" + " ---: |" * 5]
    for label in dict.fromkeys(label for label, _ in rows):
        found = [figures["tpot_s"] for each, figures in rows if each == label]
        errors = np.array([error for error, _ in found])
        lines.append(
            f"| {label} | {len(found)} | {np.median(np.abs(errors)):.0%} | {np.abs(errors).mean():.0%} | "
            f"{np.median(errors):+.0%} | {sum(within for _, within in found)} |"
        )
    return lines


def _write(title: str, lines: list[str]) -> None:
    sys.stdout.write("\n".join([f"## {title}", "", *lines, "", ""]))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
