"""`planner.profile/1`: how fast one replica serves, and how that was found out."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from planner.schema.base import FileModel, Name, NonNegative, Positive, RuledFileModel
from planner.schema.estimate import Estimate

Tokens = Annotated[int, Field(ge=1, le=10**12)]


class Model(FileModel):
    """The model that is served."""

    id: Name
    revision: str | None = None
    dtype: str | None = None
    quantization: str | None = None


class Engine(FileModel):
    """The software that serves it."""

    name: Name
    version: str | None = None
    args: list[str] = []
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    """GPUs that share one replica."""
    prefix_caching: bool | None = None


class Accelerator(FileModel):
    """The hardware of one replica."""

    name: Name
    count: Annotated[int, Field(ge=1)] = 1


class StepTime(RuledFileModel):
    """Time of one engine step: base + per_prefill_token·P + per_sequence·B + per_context_token·K.

    P: prompt tokens prefilled in the step; B: decoding sequences; K: context tokens that these hold.
    """

    base: NonNegative
    """Time of an empty step [s]."""
    per_prefill_token: NonNegative = 0.0
    """Per prompt token prefilled [s/token]."""
    per_sequence: NonNegative = 0.0
    """Per decoding sequence [s/sequence]."""
    per_context_token: NonNegative = 0.0
    """Per context token of the decoding sequences [s/token]."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """A step that takes time."""
        if data and all(value == 0 for value in data.values()):
            yield "", "at least one coefficient must be above 0"


class Limits(FileModel):
    """What the engine's scheduler and memory allow."""

    max_num_seqs: Annotated[int, Field(ge=1, le=1_000_000)]
    max_num_batched_tokens: Tokens
    kv_cache_tokens: Tokens
    block_tokens: Tokens
    max_model_len: Tokens


class ReplicaPower(FileModel):
    """Measured power of one replica."""

    idle_w: NonNegative
    busy_w: NonNegative


class Profile(RuledFileModel):
    """Service profile of one replica: a model on an engine on an accelerator."""

    schema_: Literal["planner.profile/1"] = Field(alias="schema")
    name: Name
    basis: Literal["measured", "estimated", "emulated"]
    model: Model | None = None
    engine: Engine | None = None
    accelerator: Accelerator | None = None
    step_time_s: StepTime
    request_overhead_s: NonNegative = 0.0
    """What a request takes outside the engine's steps, before its first token: HTTP, tokenizer [s]."""
    limits: Limits
    power: ReplicaPower | None = None
    start_up_s: Positive | None = None
    """Time from start to ready [s]."""
    points: list[dict[str, JsonValue]] = []
    """Load points that the profile was fitted on."""
    validation: dict[str, JsonValue] = {}
    """Errors on load points kept out of the fit."""
    provenance: list[JsonValue] = []
    """Runs, commands and versions behind the figures; of an estimate, the tables that it was computed from."""
    estimate: Estimate | None = None
    """Ranges of an estimated profile, and what it leaves out."""

    @classmethod
    def rules(cls, data: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """Measured profiles show their evidence, and none but estimated ones an estimate."""
        lacking = [key for key in ("points", "engine", "accelerator", "provenance") if not data.get(key)]
        if data.get("basis") == "measured" and lacking:
            yield "basis", f"measured also needs {', '.join(lacking)}"
        if data.get("estimate") is not None and data.get("basis") in ("measured", "emulated"):
            yield "estimate", f"only goes with basis: estimated; given: {data.get('basis')}"
