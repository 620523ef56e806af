"""A service profile for a machine that nobody has measured: published figures through a roofline, with its range."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from planner.core.roofline import (
    KERNELS_PER_LAYER,
    REFERENCE_OFFSET_TOKENS,
    closed_loop_tpot_s,
    estimate_step_time,
    kv_room_bytes,
)
from planner.errors import UsageError
from planner.schema.estimate import Estimate, LoadEstimate, Ranged, StepTimeRange
from planner.schema.hardware import Efficiencies, EfficiencyRow
from planner.schema.profile import Accelerator, Engine, Limits, Model, Profile, StepTime
from planner.store.hardware import hardware_table
from planner.workflows.estimate_options import Chosen, EstimateOptions, choose
from planner.workflows.evidence import unmeasured

BLOCK_TOKENS = 16
_USERS = (1, 8, 32, 128)
_INPUT_TOKENS, _OUTPUT_TOKENS = 1024, 256
"""Of the requests for which a range of latency and throughput is told."""
_MOST_GPUS = 64
_LESS_IS_SLOWER = ("memory_fraction", "expert_memory_fraction", "compute_fraction", "link_fraction")


@dataclass(frozen=True)
class Estimated:
    """An estimated profile.

    Attributes:
        profile: with its ranges.
        warnings: what a reader must know before using it.
    """

    profile: Profile
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Case:
    """One set of efficiencies, and what follows from it."""

    step_time: StepTime
    affine_error_fraction: float
    kv_room_bytes: float


def estimate_profile(options: EstimateOptions) -> Estimated:
    """A profile from the figures of an accelerator and the shape of a model.

    Args:
        options: what the user asks for.

    Raises:
        UsageError: every name that is not known and every number that is not possible; or the model does not fit.
        InputFileError: every mistake of the model's configuration.
    """
    chosen = choose(options)
    rows = hardware_table().efficiencies
    slow, central, fast = (
        _case(chosen, _slow(rows), 1),
        _case(chosen, _central(rows), 0),
        _case(chosen, _fast(rows), -1),
    )
    per_token = chosen.replica.kv_bytes_per_token
    tokens = _whole_blocks(central.kv_room_bytes / per_token)
    if tokens < BLOCK_TOKENS:
        raise UsageError(_does_not_fit(chosen, _central(rows).reserved_bytes))
    limits, notes = _limits(chosen, tokens)
    if slow.kv_room_bytes < BLOCK_TOKENS * per_token:
        kept = _slow(rows).reserved_bytes / 1e9
        notes.append(
            f"the model may not fit: not where {kept:,.1f} GB of each accelerator go to activations and buffers"
        )
    estimate = Estimate(
        step_time_s=_step_time_range(slow, central, fast),
        kv_cache_tokens=Ranged(
            low=max(slow.kv_room_bytes / per_token, 0.0), central=tokens, high=fast.kv_room_bytes / per_token
        ),
        weights_bytes=chosen.replica.weights_bytes,
        kv_bytes_per_token=per_token,
        affine_error_fraction=round(central.affine_error_fraction, 6),
        loads=_loads(slow, central, fast, limits),
        not_modelled=_not_modelled(chosen),
    )
    shape, count = chosen.replica.shape, chosen.replica.count
    profile = Profile(
        schema_="planner.profile/1",
        name=(options.name or f"{shape.id} on {count} × {chosen.accelerator.name}, estimated")[:120],
        basis="estimated",
        model=Model(id=shape.id, dtype=shape.dtype, quantization=chosen.quantization),
        engine=Engine(name="vllm", tensor_parallel_size=count),
        accelerator=Accelerator(name=chosen.accelerator.name, count=count),
        step_time_s=central.step_time,
        limits=limits,
        provenance=_provenance(chosen, rows),
        estimate=estimate,
    )
    return Estimated(
        profile, (f"the profile is {unmeasured(profile)}; no ground for a decision", *chosen.notes, *notes)
    )


def _slow(rows: Sequence[EfficiencyRow]) -> Efficiencies:
    return _efficiencies(rows, lambda row: row.low if row.name in _LESS_IS_SLOWER else row.high)


def _central(rows: Sequence[EfficiencyRow]) -> Efficiencies:
    return _efficiencies(rows, lambda row: row.central)


def _fast(rows: Sequence[EfficiencyRow]) -> Efficiencies:
    return _efficiencies(rows, lambda row: row.high if row.name in _LESS_IS_SLOWER else row.low)


def _efficiencies(rows: Sequence[EfficiencyRow], value: Callable[[EfficiencyRow], float]) -> Efficiencies:
    return Efficiencies.model_validate({row.name: value(row) for row in rows})


def _case(chosen: Chosen, reached: Efficiencies, side: int) -> _Case:
    """What follows from efficiencies; at the slow (1) and fast end (-1) with what the line is off the roofline by."""
    found = estimate_step_time(chosen.replica, reached, chosen.options.max_num_seqs)
    step, off = found.step_time, 1 + side * min(found.affine_error_fraction, 1.0)
    return _Case(
        step.model_copy(update={"base": step.base * off, "per_sequence": step.per_sequence * off}),
        found.affine_error_fraction,
        kv_room_bytes(chosen.replica, reached.reserved_bytes, chosen.options.gpu_memory_utilization),
    )


def _whole_blocks(tokens: float) -> int:
    return int(max(tokens, 0.0) // BLOCK_TOKENS) * BLOCK_TOKENS


def _limits(chosen: Chosen, kv_cache_tokens: int) -> tuple[Limits, list[str]]:
    """Limits as asked for; a length of the model that its memory cannot hold is cut, unless it was asked for."""
    options, longest = chosen.options, chosen.replica.shape.max_position_embeddings
    asked = options.max_model_len
    if asked is not None and asked > kv_cache_tokens:
        raise UsageError(
            f"--max-model-len {asked:,}: the KV cache would hold {kv_cache_tokens:,} tokens; ask for less, or for more "
            "with --count"
        )
    length, notes = asked or longest, []
    if length > kv_cache_tokens:
        notes.append(
            f"the model takes {length:,} tokens and the KV cache would hold {kv_cache_tokens:,}: max_model_len is "
            "that, and vllm would ask for --max-model-len"
        )
        length = kv_cache_tokens
    limits = Limits(
        max_num_seqs=options.max_num_seqs,
        max_num_batched_tokens=options.max_num_batched_tokens,
        kv_cache_tokens=kv_cache_tokens,
        block_tokens=BLOCK_TOKENS,
        max_model_len=length,
    )
    return limits, notes


def _does_not_fit(chosen: Chosen, reserved_bytes: float) -> str:
    """By how much the model is too large, and how many accelerators would do."""
    replica, share = chosen.replica, chosen.options.gpu_memory_utilization
    lacking = -kv_room_bytes(replica, reserved_bytes, share) + BLOCK_TOKENS * replica.kv_bytes_per_token
    counts = [count for count in range(replica.count + 1, _MOST_GPUS + 1) if replica.shape.attention_heads % count == 0]
    enough = next(
        (
            count
            for count in counts
            if kv_room_bytes(replace(replica, count=count), reserved_bytes, share)
            >= BLOCK_TOKENS * replace(replica, count=count).kv_bytes_per_token
        ),
        None,
    )
    would = "no number of them up to 64 would do" if enough is None else f"--count {enough} would do"
    return (
        f"--count {replica.count}: {replica.shape.id} does not fit: its weights take "
        f"{replica.weights_bytes / 1e9:,.1f} GB, and {lacking / 1e9:,.1f} GB are lacking of {replica.count} × "
        f"{chosen.accelerator.memory_bytes / 1e9:,.1f} GB at {share:g} of the memory with "
        f"{reserved_bytes / 1e9:,.1f} GB of each kept for activations; {would}"
    )


def _ranged(*values: float) -> Ranged:
    """From a slow, a central and a fast value."""
    return Ranged(low=min(values), central=values[1], high=max(values))


def _step_time_range(slow: _Case, central: _Case, fast: _Case) -> StepTimeRange:
    found = [case.step_time for case in (slow, central, fast)]
    return StepTimeRange(
        base=_ranged(*(step.base for step in found)),
        per_prefill_token=_ranged(*(step.per_prefill_token for step in found)),
        per_sequence=_ranged(*(step.per_sequence for step in found)),
        per_context_token=_ranged(*(step.per_context_token for step in found)),
    )


def _loads(slow: _Case, central: _Case, fast: _Case, limits: Limits) -> list[LoadEstimate]:
    """What users would see, as long as all of them run at once."""
    room = min(limits.max_num_seqs, limits.kv_cache_tokens // (_INPUT_TOKENS + _OUTPUT_TOKENS))
    loads = []
    for users in _USERS:
        if users > room:
            break
        tpot_s = [
            closed_loop_tpot_s(case.step_time, users, _INPUT_TOKENS, _OUTPUT_TOKENS) for case in (slow, central, fast)
        ]
        loads.append(
            LoadEstimate(
                users=users,
                input_tokens=_INPUT_TOKENS,
                output_tokens=_OUTPUT_TOKENS,
                tpot_s=_ranged(*tpot_s),
                output_tokens_per_s=_ranged(*(users / each for each in tpot_s)),
            )
        )
    return loads


def _not_modelled(chosen: Chosen) -> list[str]:
    shape = chosen.replica.shape
    found = [
        "time outside the engine: HTTP, tokenizer, network",
        f"attention to more than what is {REFERENCE_OFFSET_TOKENS:,} tokens before a prompt token: long prompts take "
        "longer",
    ]
    if shape.experts is not None:
        found.append(
            f"that steps touch more experts as batches grow is no line: over 1 to {chosen.options.max_num_seqs:,} "
            "sequences the profile holds the least-squares line; which experts a prefill touches, and unequal use"
        )
    if shape.sliding_layers:
        found.append(
            f"the window of {shape.sliding_window:,} tokens of {shape.sliding_layers} of {shape.layers} layers: all "
            "are taken to look back without end, so that KV cache and long contexts cost too much here"
        )
    if chosen.replica.count > 1:
        found.append("machines: all accelerators are taken to be in one, joined by its links")
    return found


def _provenance(chosen: Chosen, rows: Sequence[EfficiencyRow]) -> list[JsonValue]:
    return [
        {"accelerator": chosen.accelerator.model_dump(mode="json", exclude={"aliases"})},
        {"model": {**chosen.model_source, "shape": chosen.replica.shape.model_dump(mode="json")}},
        {
            "assumed": {
                "weights": chosen.weights,
                "kv_cache_bytes_per_number": chosen.replica.kv_element_bytes,
                "gpu_memory_utilization_fraction": chosen.options.gpu_memory_utilization,
                "kernels_per_layer": KERNELS_PER_LAYER,
            }
        },
        {"efficiencies": [row.model_dump(mode="json") for row in rows]},
    ]
