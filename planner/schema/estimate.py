"""What an estimated profile says of its own doubt."""

from typing import Annotated

from pydantic import Field

from planner.schema.base import FileModel, NonNegative

Count = Annotated[int, Field(ge=1)]


class Ranged(FileModel):
    """An estimate and the range around it that its inputs allow; no confidence interval."""

    low: NonNegative
    central: NonNegative
    high: NonNegative


class StepTimeRange(FileModel):
    """Ranges of the coefficients of a step's time, in the units of `step_time_s`."""

    base: Ranged
    per_prefill_token: Ranged
    per_sequence: Ranged
    per_context_token: Ranged


class LoadEstimate(FileModel):
    """What so many users, each with one request at a time, would see."""

    users: Count
    input_tokens: Count
    """Of every prompt [tokens]."""
    output_tokens: Count
    """Of every answer [tokens]."""
    tpot_s: Ranged
    """Mean time per output token after the first [s]."""
    output_tokens_per_s: Ranged
    """Of all users together [tokens/s]."""


class Estimate(FileModel):
    """An estimated profile's ranges, and what it leaves out."""

    step_time_s: StepTimeRange
    kv_cache_tokens: Ranged
    """KV cache of a replica [tokens]."""
    weights_bytes: NonNegative
    """All weights [B]."""
    kv_bytes_per_token: NonNegative
    """KV cache of one token, in all accelerators together [B]."""
    affine_error_fraction: NonNegative
    """Largest distance between the roofline's decode steps and the line through them that the profile holds."""
    loads: list[LoadEstimate]
    not_modelled: list[str] = []
    """In plain words."""
