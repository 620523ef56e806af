"""Requirements that decide before any cost is looked at."""

from collections.abc import Sequence

from planner.schema.options import HostingOption
from planner.schema.plan import Choice, Gate
from planner.schema.scenario import Requirements

MANY_MODEL_CHANGES_PER_YEAR = 4
"""From one change a quarter on, re-qualifying a self-hosted model is a standing task."""


def all_gates(requirements: Requirements, hosting: Sequence[HostingOption]) -> list[Gate]:
    """Every gate with its result and its effect in this scenario, in the order they are read.

    Example:
        >>> [gate.effect for gate in all_gates(Requirements(offline=True), []) if gate.name == "offline"]
        ['must_host']
    """
    return [
        _data_residency(requirements),
        _offline(requirements),
        _frontier_capability(requirements),
        _gpu_operations_experience(requirements, hosting),
        _fine_tuning(requirements),
        _growth(requirements),
        _model_changes(requirements, hosting),
    ]


def ruled_out_because(
    kind: Choice, gates: Sequence[Gate], requirements: Requirements, hosting: HostingOption | None
) -> list[str]:
    """Why requirements rule an option out; empty where they don't.

    Args:
        kind: of the option.
        gates: all gates of the scenario.
        requirements: what the gates were made from.
        hosting: the machines of a hosting option or a hybrid.
    """
    reasons = []
    for gate in gates:
        if gate.effect == "must_host" and kind != "host":
            reasons.append(because_of(gate))
        if gate.effect == "must_not_host" and kind != "api":
            reasons.append(because_of(gate))
    if hosting is not None and lacks_people(requirements, hosting) and not reasons:
        reasons.append("GPU operations experience: none, and this option prices no operations to get it")
    return reasons


def lacks_people(requirements: Requirements, hosting: HostingOption) -> bool:
    """Whether nobody can run these machines: the team has no experience, and none is paid for."""
    return requirements.gpu_operations_experience == "none" and not hosting.operations.is_priced


def because_of(gate: Gate) -> str:
    """A gate's reason under its name, as people read it.

    Example:
        >>> because_of(Gate(name="data_residency", result="pass", effect="none", because="data may leave"))
        'data residency: data may leave'
    """
    return f"{gate.title}: {gate.because}"


def _data_residency(requirements: Requirements) -> Gate:
    match requirements.data_residency:
        case None:
            return _not_asked("data_residency")
        case "required":
            because = "data must not leave your network, and every API takes it out"
            return Gate(name="data_residency", result="fail", effect="must_host", because=because)
        case "preferred":
            because = "data should stay in your network; an API is a concession that somebody must sign"
            return Gate(name="data_residency", result="fail", effect="warns", because=because)
        case "none":
            return _passes("data_residency", "data may leave your network")


def _offline(requirements: Requirements) -> Gate:
    if requirements.offline is None:
        return _not_asked("offline")
    if requirements.offline:
        because = "the service must work without a network, and an API does not"
        return Gate(name="offline", result="fail", effect="must_host", because=because)
    return _passes("offline", "a network is there")


def _frontier_capability(requirements: Requirements) -> Gate:
    match requirements.frontier_capability:
        case None:
            return _not_asked("frontier_capability")
        case "required":
            because = "the tasks need capability that open-weight models do not reach"
            return Gate(name="frontier_capability", result="fail", effect="must_not_host", because=because)
        case "some_tasks":
            because = "some tasks need a frontier model; only a bake-off on your own inputs shows which"
            return Gate(name="frontier_capability", result="unknown", effect="warns", because=because)
        case "none":
            return _passes("frontier_capability", "open-weight models are capable enough")


def _gpu_operations_experience(requirements: Requirements, hosting: Sequence[HostingOption]) -> Gate:
    name = "gpu_operations_experience"
    if requirements.gpu_operations_experience is None:
        return _not_asked(name)
    if requirements.gpu_operations_experience != "none":
        return _passes(name, f"the team has {requirements.gpu_operations_experience} experience in running GPUs")
    if any(option.operations.is_priced for option in hosting):
        because = "the team has none; only options that price operations can get it"
        return Gate(name=name, result="fail", effect="warns", because=because)
    because = "the team has none, and no hosting option prices operations to get it"
    return Gate(name=name, result="fail", effect="must_not_host", because=because)


def _fine_tuning(requirements: Requirements) -> Gate:
    if requirements.fine_tuning is None:
        return _not_asked("fine_tuning")
    if requirements.fine_tuning == "none":
        return _passes("fine_tuning", "no fine-tuned model is needed")
    because = f"fine-tuning is {requirements.fine_tuning}; check that each API offers it for your model, and its price"
    return Gate(name="fine_tuning", result="unknown", effect="warns", because=because)


def _growth(requirements: Requirements) -> Gate:
    if requirements.growth is None:
        return _not_asked("growth")
    if requirements.growth == "predictable":
        return _passes("growth", "the volume can be predicted")
    because = "the volume cannot be predicted: a purchase fixes a cost that the volume may not follow"
    return Gate(name="growth", result="fail", effect="warns", because=because)


def _model_changes(requirements: Requirements, hosting: Sequence[HostingOption]) -> Gate:
    changes = requirements.model_changes_per_year
    if "model_changes_per_year" not in requirements.model_fields_set:
        return _not_asked("model_changes_per_year")
    counted = "1 model change a year" if changes == 1 else f"{changes:g} model changes a year"
    if changes > 0 and any(option.requalification_usd_per_model_change == 0 for option in hosting):
        because = f"{counted}, and a hosting option prices no re-qualification"
        return Gate(name="model_changes_per_year", result="fail", effect="warns", because=because)
    if changes >= MANY_MODEL_CHANGES_PER_YEAR:
        because = f"{counted}: each must be tested again in house"
        return Gate(name="model_changes_per_year", result="fail", effect="warns", because=because)
    return _passes("model_changes_per_year", f"{counted}, and their re-qualification is priced")


def _not_asked(name: str) -> Gate:
    return Gate(name=name, result="not_asked", effect="none", because="the scenario does not ask for it")


def _passes(name: str, because: str) -> Gate:
    return Gate(name=name, result="pass", effect="none", because=because)
