"""What an estimate is asked for: names looked up, numbers checked, and every mistake told at once."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from planner.core.roofline import Replica
from planner.core.weight_formats import FORMATS, NAMES, WIDE, weight_format
from planner.errors import PlannerError, UsageError
from planner.schema.hardware import AcceleratorRow, ModelShape
from planner.store.files import shown_path
from planner.store.hardware import hardware_table, model_table
from planner.store.model_configs import read_model_config

KV_CACHE_DTYPES = {"auto": WIDE, "bfloat16": WIDE, "float16": WIDE, "fp8": 1.0}
_WIDE_DTYPES = ("bfloat16", "float16", "half")
_MOST_TOKENS = 10**9
_MOST_SEQUENCES = 65_536


@dataclass(frozen=True)
class EstimateOptions:
    """The command line's options.

    Attributes:
        model: a name of the shipped table, a config.json, or a folder with one.
        accelerator: a name of the shipped table.
        count: accelerators of a replica.
        dtype: of the weights; None for what the configuration says.
        quantization: of the weights, as vllm names the method; None for what the configuration says.
        kv_cache_dtype: of the KV cache.
        max_num_seqs: as vllm's.
        max_num_batched_tokens: as vllm's.
        gpu_memory_utilization: as vllm's.
        max_model_len: as vllm's; None for the model's own.
        name: of the profile.
    """

    model: str
    accelerator: str
    count: int = 1
    dtype: str | None = None
    quantization: str | None = None
    kv_cache_dtype: str = "auto"
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    gpu_memory_utilization: float = 0.9
    max_model_len: int | None = None
    name: str | None = None


@dataclass(frozen=True)
class Chosen:
    """What the options stand for.

    Attributes:
        options: as given.
        accelerator: its row.
        replica: model and accelerators.
        weights: the name of their format.
        quantization: the same, where it is not 16 bits.
        model_source: where the shape was read.
        notes: what was taken without being said.
    """

    options: EstimateOptions
    accelerator: AcceleratorRow
    replica: Replica
    weights: str
    quantization: str | None
    model_source: dict[str, JsonValue]
    notes: tuple[str, ...]


def choose(options: EstimateOptions) -> Chosen:
    """Looks everything up.

    Raises:
        UsageError: every mistake of the options, and of the model's configuration.
    """
    problems = list(_numbers(options))
    accelerator = _accelerator(options.accelerator, problems)
    shape, source, notes = _model(options.model, problems)
    names = list(_unknown_formats(options))
    problems += names
    weights = None if names or shape is None else _weights(options, shape, problems)
    if options.kv_cache_dtype not in KV_CACHE_DTYPES:
        problems.append(
            f"--kv-cache-dtype: must be one of {', '.join(KV_CACHE_DTYPES)}; given: {options.kv_cache_dtype}"
        )
    if shape is not None and options.count >= 1 and shape.attention_heads % options.count:
        allowed = [str(n) for n in range(1, 65) if shape.attention_heads % n == 0]
        problems.append(
            f"--count {options.count}: must divide the model's {shape.attention_heads} attention heads; allowed: "
            f"{', '.join(allowed)}"
        )
    if problems or accelerator is None or shape is None or weights is None:
        raise UsageError("\n".join(problems))
    stored = weight_format(weights, has_experts=shape.experts is not None)
    if getattr(accelerator.dense_flops, stored.operands) is None:
        notes.append(f"{accelerator.name} has no products in {stored.operands}: taken to be computed in 16 bits")
    replica = Replica(shape, accelerator, options.count, stored, KV_CACHE_DTYPES[options.kv_cache_dtype])
    return Chosen(
        options, accelerator, replica, weights, None if weights in _WIDE_DTYPES else weights, source, tuple(notes)
    )


def _numbers(options: EstimateOptions) -> Iterator[str]:
    for name, value, most in (
        ("--count", options.count, 64),
        ("--max-num-seqs", options.max_num_seqs, _MOST_SEQUENCES),
        ("--max-num-batched-tokens", options.max_num_batched_tokens, _MOST_TOKENS),
        ("--max-model-len", options.max_model_len, _MOST_TOKENS),
    ):
        if value is not None and not 1 <= value <= most:
            yield f"{name}: must lie between 1 and {most:,}; given: {value}"
    if not 0 < options.gpu_memory_utilization <= 1:
        yield f"--gpu-memory-utilization: must be above 0 and at most 1; given: {options.gpu_memory_utilization:g}"
    if options.name is not None and (not options.name.strip() or options.name != options.name.strip()):
        yield "--name: must be text without blanks at its ends"


def _accelerator(name: str, problems: list[str]) -> AcceleratorRow | None:
    rows = hardware_table().accelerators
    for row in rows:
        if _plain(name) in {_plain(each) for each in (row.name, *row.aliases)}:
            return row
    problems.append(f"--accelerator: {_unknown(name, [row.name for row in rows])}")
    return None


def _model(text: str, problems: list[str]) -> tuple[ModelShape | None, dict[str, JsonValue], list[str]]:
    path = Path(text)
    try:
        is_file = path.exists() or path.suffix.lower() == ".json"
    except (OSError, ValueError):
        is_file = False
    if is_file:
        try:
            found = read_model_config(path)
        except PlannerError as error:
            problems.append(str(error))
            return None, {}, []
        return found.shape, {"file": shown_path(Path(path.name)), "sha256": found.sha256}, list(found.notes)
    rows = model_table().models
    for row in rows:
        if _plain(text) in {_plain(row.shape.id), _plain(row.shape.id.partition("/")[2])}:
            return row.shape, {"source": row.source, "checked_on": row.checked_on.isoformat()}, []
    problems.append(f"--model: {_unknown(text, [row.shape.id for row in rows])}, or the file config.json of any other")
    return None, {}, []


def _unknown_formats(options: EstimateOptions) -> Iterator[str]:
    for option, value, allowed in (
        ("--dtype", options.dtype, NAMES),
        ("--quantization", options.quantization, (*NAMES, "none")),
    ):
        if value is not None and value not in allowed:
            yield f"{option}: must be one of {', '.join(allowed)}; given: {value}"


def _weights(options: EstimateOptions, shape: ModelShape, problems: list[str]) -> str | None:
    """The format of the weights: as asked for, else as the configuration has them."""
    narrow = None if options.dtype in (None, *_WIDE_DTYPES) else options.dtype
    asked = options.quantization
    if narrow and asked and narrow != asked:
        problems.append(f"--dtype {narrow} and --quantization {asked} both say how weights are stored; give one")
        return None
    chosen = asked or narrow
    wide = options.dtype or (shape.dtype if shape.dtype in FORMATS else "bfloat16")
    if chosen == "none":
        return wide
    if chosen is not None:
        return chosen
    if shape.quantization is None:
        return wide
    if shape.quantization not in NAMES:
        problems.append(
            f"--quantization: is missing: the configuration says {shape.quantization}, which does not tell how many "
            f"bits; must be one of {', '.join((*NAMES, 'none'))}"
        )
        return None
    return shape.quantization


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("-", " ").replace("_", " ").split())


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(_plain(name), [_plain(each) for each in known], n=1)
    nearest = next((each for each in known if near and _plain(each) == near[0]), None)
    hint = f"; nearest: {nearest}" if nearest else ""
    return f"{name} is not in the table{hint}; there are: {', '.join(known)}"
