"""What a user says of the server on the command line."""

from pydantic import ValidationError

from planner.errors import UsageError
from planner.schema.benchmark import KnownLimits
from planner.schema.profile import Accelerator, Engine, Model

_LIMITS_ALLOWED = f"NAME=TOKENS with commas between, whole numbers; names: {', '.join(KnownLimits.model_fields)}"


def parse_limits(text: str | None) -> KnownLimits:
    """Limits from `max_num_seqs=256,max_num_batched_tokens=8192`.

    Raises:
        UsageError: the text is something else.

    Example:
        >>> parse_limits("max_num_seqs=256").max_num_seqs
        256
    """
    if text is None:
        return KnownLimits()
    pairs = [part.partition("=") for part in text.split(",")]
    try:
        found = {name.strip(): int(value) for name, _, value in pairs}
        if len(found) == len(pairs):
            return KnownLimits.model_validate(found)
    except (ValueError, ValidationError):
        pass
    raise UsageError(f"--limits: must be {_LIMITS_ALLOWED}; given: {text}")


def parse_accelerator(text: str | None) -> Accelerator | None:
    """A machine from `NAME` or `NAME:COUNT`.

    Raises:
        UsageError: there is no name.

    Example:
        >>> parse_accelerator("NVIDIA H100 80GB HBM3:2").count
        2
    """
    if text is None:
        return None
    name, colon, count = text.rpartition(":")
    try:
        is_counted = bool(colon) and count.strip().isdigit()
        return Accelerator(name=name.strip(), count=int(count)) if is_counted else Accelerator(name=text.strip())
    except ValidationError:
        raise UsageError(f"--accelerator: must be a name, or NAME:COUNT; given: {text}") from None


def parse_engine(text: str | None) -> Engine | None:
    """An engine from `NAME` or `NAME:VERSION`.

    Raises:
        UsageError: there is no name, or no version after the colon.

    Example:
        >>> parse_engine("vllm:0.32.0").version
        '0.32.0'
    """
    if text is None:
        return None
    name, colon, version = text.partition(":")
    try:
        if not colon or version.strip():
            return Engine(name=name.strip(), version=version.strip() or None)
    except ValidationError:
        pass
    raise UsageError(f"--engine: must be a name, or NAME:VERSION; given: {text}")


def parse_model(text: str | None) -> Model | None:
    """A model from its name.

    Raises:
        UsageError: it is none that a file can hold.
    """
    try:
        return None if text is None else Model(id=text)
    except ValidationError:
        raise UsageError(f"--model: must be a name on one line, of at most 120 characters; given: {text}") from None
