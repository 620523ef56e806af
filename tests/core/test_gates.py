"""Every value of every requirement, and what it does to the options."""

import pytest

from planner.core.gates import all_gates, ruled_out_because
from planner.schema.options import HostingOption
from planner.schema.plan import Gate
from planner.schema.scenario import Requirements

NAMES = [
    "data_residency",
    "offline",
    "frontier_capability",
    "gpu_operations_experience",
    "fine_tuning",
    "growth",
    "model_changes_per_year",
]


def hosting(**terms: object) -> HostingOption:
    return HostingOption(
        name="H100", tenure="on_demand", usd_per_gpu_hour=2.5, capacity={"requests_per_s": 5.0}, **terms
    )


STAFFED = hosting(operations={"engineer_fraction": 0.5, "engineer_usd_per_year": 200_000.0})
UNSTAFFED = hosting()


def gate(requirements: Requirements, name: str, *options: HostingOption) -> Gate:
    return {found.name: found for found in all_gates(requirements, options)}[name]


def test_every_gate_is_listed_and_unasked_by_default() -> None:
    gates = all_gates(Requirements(), [UNSTAFFED])
    assert [each.name for each in gates] == NAMES
    assert {(each.result, each.effect) for each in gates} == {("not_asked", "none")}
    assert all(each.because for each in gates)


@pytest.mark.parametrize(
    ("name", "value", "result", "effect"),
    [
        ("data_residency", "none", "pass", "none"),
        ("data_residency", "preferred", "fail", "warns"),
        ("data_residency", "required", "fail", "must_host"),
        ("offline", False, "pass", "none"),
        ("offline", True, "fail", "must_host"),
        ("frontier_capability", "none", "pass", "none"),
        ("frontier_capability", "some_tasks", "unknown", "warns"),
        ("frontier_capability", "required", "fail", "must_not_host"),
        ("gpu_operations_experience", "none", "fail", "must_not_host"),
        ("gpu_operations_experience", "some", "pass", "none"),
        ("gpu_operations_experience", "strong", "pass", "none"),
        ("fine_tuning", "none", "pass", "none"),
        ("fine_tuning", "helpful", "unknown", "warns"),
        ("fine_tuning", "required", "unknown", "warns"),
        ("growth", "predictable", "pass", "none"),
        ("growth", "uncertain", "fail", "warns"),
        ("model_changes_per_year", 0, "pass", "none"),
    ],
)
def test_each_value(name: str, value: object, result: str, effect: str) -> None:
    found = gate(Requirements.model_validate({name: value}), name, UNSTAFFED)
    assert (found.result, found.effect) == (result, effect)
    assert found.because
    others = [each for each in all_gates(Requirements.model_validate({name: value}), [UNSTAFFED]) if each != found]
    assert {each.result for each in others} == {"not_asked"}


@pytest.mark.parametrize(
    ("options", "effect"),
    [((), "must_not_host"), ((UNSTAFFED,), "must_not_host"), ((STAFFED,), "warns"), ((UNSTAFFED, STAFFED), "warns")],
)
def test_experience_can_be_bought_with_priced_operations(options: tuple[HostingOption, ...], effect: str) -> None:
    found = gate(Requirements(gpu_operations_experience="none"), "gpu_operations_experience", *options)
    assert (found.result, found.effect) == ("fail", effect)


@pytest.mark.parametrize(
    "operations",
    [
        {"engineer_fraction": 0.5, "engineer_usd_per_year": 0.0},
        {"engineer_fraction": 0.0, "engineer_usd_per_year": 200_000.0},
    ],
)
def test_operations_that_cost_nothing_are_not_priced(operations: dict[str, float]) -> None:
    found = gate(
        Requirements(gpu_operations_experience="none"), "gpu_operations_experience", hosting(operations=operations)
    )
    assert found.effect == "must_not_host"


@pytest.mark.parametrize(
    ("changes", "requalification_usd", "result"),
    [(0, 0.0, "pass"), (2, 4000.0, "pass"), (2, 0.0, "fail"), (3.9, 4000.0, "pass"), (4, 4000.0, "fail")],
)
def test_model_changes(changes: float, requalification_usd: float, result: str) -> None:
    option = hosting(requalification_usd_per_model_change=requalification_usd)
    found = gate(Requirements(model_changes_per_year=changes), "model_changes_per_year", option)
    assert found.result == result
    assert found.effect == ("warns" if result == "fail" else "none")
    assert f"{changes:g} model changes a year" in found.because


def ruled_out(requirements: Requirements, kind: str, option: HostingOption | None) -> list[str]:
    gates = all_gates(requirements, [UNSTAFFED, STAFFED])
    return ruled_out_because(kind, gates, requirements, option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("requirement", "ruled_out_kinds"),
    [
        ({"data_residency": "required"}, {"api", "hybrid"}),
        ({"offline": True}, {"api", "hybrid"}),
        ({"frontier_capability": "required"}, {"host", "hybrid"}),
        ({"data_residency": "preferred", "fine_tuning": "required", "growth": "uncertain"}, set()),
        ({"offline": True, "frontier_capability": "required"}, {"host", "api", "hybrid"}),
    ],
)
def test_gates_rule_out_kinds_of_options(requirement: dict[str, object], ruled_out_kinds: set[str]) -> None:
    requirements = Requirements.model_validate(requirement)
    for kind in ("host", "api", "hybrid"):
        reasons = ruled_out(requirements, kind, None if kind == "api" else STAFFED)
        assert bool(reasons) == (kind in ruled_out_kinds)


def test_reasons_name_their_requirement() -> None:
    requirements = Requirements(data_residency="required", offline=True)
    reasons = ruled_out(requirements, "api", None)
    assert [reason.partition(":")[0] for reason in reasons] == ["data residency", "offline"]


def test_without_experience_only_staffed_options_stand() -> None:
    requirements = Requirements(gpu_operations_experience="none")
    assert ruled_out(requirements, "host", STAFFED) == []
    assert ruled_out(requirements, "hybrid", STAFFED) == []
    assert ruled_out(requirements, "api", None) == []
    for kind in ("host", "hybrid"):
        (reason,) = ruled_out(requirements, kind, UNSTAFFED)
        assert reason.startswith("GPU operations experience: none")


def test_without_experience_and_staff_hosting_falls_once() -> None:
    requirements = Requirements(gpu_operations_experience="none")
    gates = all_gates(requirements, [UNSTAFFED])
    (reason,) = ruled_out_because("host", gates, requirements, UNSTAFFED)
    assert reason.startswith("GPU operations experience: the team has none")
    assert ruled_out_because("api", gates, requirements, None) == []
