"""What other load-test tools measured on planner's emulator, and how that was timed."""

import tarfile
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "store" / "foreign" / "fixtures"
TRUTH = {"base": 0.012, "per_prefill_token": 4e-5, "per_sequence": 3e-4, "per_context_token": 1e-6}
"""Step time of the emulated profile [s]."""
LIMITS = "max_num_seqs=32,max_num_batched_tokens=2048,kv_cache_tokens=200000,block_tokens=16,max_model_len=8192"


def unpacked(tool: str, folder: Path) -> Path:
    """The folder that a tool's results are unpacked to."""
    out = folder / tool
    with tarfile.open(FIXTURES / f"{tool}.tar.gz") as archive:
        archive.extractall(out, filter="data")
    return out


LADDERS = {
    "vllm": ["short-c1", "short-c4", "short-c8", "short-c16", "long-c1", "long-c4", "long-r5", "short-r10"],
    "guidellm": ["short", "long"],
    "aiperf": ["short-c1", "short-c4", "short-c8", "short-c16", "long-c1", "long-c4", "long-r5", "short-r10"],
    "inference_perf": ["short", "long", "rates"],
}
"""By tool, the results that make one run of eight load points."""


def ladder(tool: str, folder: Path) -> list[Path]:
    """The results of a tool that make one run, unpacked to a folder."""
    out = unpacked(tool, folder)
    suffix = ".json" if tool in ("vllm", "guidellm") else ""
    return [out / f"{name}{suffix}" for name in LADDERS[tool]]
