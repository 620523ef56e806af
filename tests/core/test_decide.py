"""Every branch of the decision, on candidates made up for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.core.decide import Candidate, Decision, decide
from planner.schema.plan import Gate
from planner.schema.scenario import DecisionRule

HOST = Candidate("H100", "host", is_feasible=True, cost_per_success_usd=0.010, npv_cost_usd=1000.0)
API = Candidate("mid-tier", "api", is_feasible=True, cost_per_success_usd=0.012, npv_cost_usd=1200.0)
HYBRID = Candidate("H100 + mid-tier", "hybrid", is_feasible=True, cost_per_success_usd=0.011, npv_cost_usd=1100.0)
MUST_HOST = Gate(name="offline", result="fail", effect="must_host", because="there is no network")
MUST_NOT_HOST = Gate(name="frontier_capability", result="fail", effect="must_not_host", because="tasks are too hard")
WARNS = Gate(name="growth", result="fail", effect="warns", because="nobody knows")
MEASURED = DecisionRule(measured_capacity=True)


def at(candidate: Candidate, cost: float | None, **changes: object) -> Candidate:
    """The candidate at another cost per accepted answer."""
    fields = {**vars(candidate), "cost_per_success_usd": cost, **changes}
    return Candidate(**fields)


def decided(*candidates: Candidate, gates: tuple[Gate, ...] = (), rule: DecisionRule | None = None) -> Decision:
    return decide(candidates, gates, 0.02, rule or DecisionRule())


@pytest.mark.parametrize(
    ("costs", "choice", "option"),
    [
        ((0.010, 0.012, 0.011), "host", "H100"),
        ((0.012, 0.010, 0.011), "api", "mid-tier"),
        ((0.012, 0.011, 0.010), "hybrid", "H100 + mid-tier"),
    ],
)
def test_the_cheapest_answer_wins(costs: tuple[float, float, float], choice: str, option: str) -> None:
    candidates = [at(candidate, cost) for candidate, cost in zip((HOST, API, HYBRID), costs, strict=True)]
    decision = decided(*candidates)
    assert (decision.choice, decision.option) == (choice, option)
    assert any(option in reason and "costs 10.0% more" in reason for reason in decision.reasons)
    assert not any("ruled out" in reason for reason in decision.reasons)


def test_cost_per_answer_decides_and_not_cost_in_all() -> None:
    cheap_and_wrong = at(API, 0.02, npv_cost_usd=1.0)
    assert decided(HOST, cheap_and_wrong).choice == "host"


def test_contradicting_gates_abstain_and_name_the_conflict() -> None:
    decision = decided(HOST, API, gates=(MUST_HOST, MUST_NOT_HOST))
    assert (decision.choice, decision.option) == ("abstain", None)
    (reason,) = decision.reasons
    assert "offline" in reason
    assert "frontier_capability" in reason


@pytest.mark.parametrize(
    ("gate", "feasible", "choice"), [(MUST_HOST, at(HOST, 0.050), "host"), (MUST_NOT_HOST, at(API, 0.050), "api")]
)
def test_a_gate_decides_before_money(gate: Gate, feasible: Candidate, choice: str) -> None:
    # The others are cheaper, and ruled out.
    others = [at(other, other.cost_per_success_usd, is_feasible=False) for other in (HOST, API, HYBRID)]
    decision = decided(feasible, *(other for other in others if other.kind != choice), gates=(WARNS, gate))
    assert (decision.choice, decision.option) == (choice, feasible.name)
    assert decision.reasons[0] == f"{gate.name.replace('_', ' ')}: {gate.because}"
    assert any("none of another kind is" in reason for reason in decision.reasons)
    # The reader learns what the requirement costs: the hybrid at 0.011, or hosting at 0.010, instead of 0.050.
    cheaper = "H100 + mid-tier (hybrid)" if choice == "host" else "H100 (host)"
    less = "78.0%" if choice == "host" else "80.0%"
    assert any(f"{cheaper} would have cost {less} less" in reason for reason in decision.reasons)


def test_gates_that_warn_change_nothing() -> None:
    assert decided(HOST, API, gates=(WARNS,)) == decided(HOST, API)


def test_data_that_should_stay_and_leave_are_told_beside_the_answer() -> None:
    prefers = Gate(name="data_residency", result="fail", effect="warns", because="data should stay")
    assert decided(at(HOST, 0.001), API, gates=(prefers,)).reasons == decided(at(HOST, 0.001), API).reasons
    for leaky in (at(API, 0.001), at(HYBRID, 0.001)):
        assert "data residency: data should stay" in decided(HOST, leaky, gates=(prefers,)).reasons


def test_nothing_feasible_abstains_with_the_gates_reason() -> None:
    decision = decided(at(HOST, 0.01, is_feasible=False), gates=(MUST_NOT_HOST,))
    assert (decision.choice, decision.option) == ("abstain", None)
    assert decision.reasons == ("frontier capability: tasks are too hard", "no option of the scenario is feasible")
    assert decided().choice == "abstain"


@pytest.mark.parametrize(
    ("rival_cost", "choice"),
    [(1.0, "abstain"), (1.015625, "abstain"), (1.0199, "abstain"), (1.0201, "host"), (2.0, "host")],
)
def test_gaps_within_the_materiality_abstain(rival_cost: float, choice: str) -> None:
    decision = decided(at(HOST, 1.0), at(API, rival_cost))
    assert decision.choice == choice
    if choice == "abstain":
        assert "H100 (host) and mid-tier (api) cost the same within 2%" in decision.reasons[-1]


def test_a_gap_of_exactly_the_materiality_abstains() -> None:
    assert decide([at(HOST, 1.0), at(API, 1.25)], [], 0.25, DecisionRule()).choice == "abstain"
    assert decide([at(HOST, 1.0), at(API, 1.25)], [], 0.2499, DecisionRule()).choice == "host"


def test_options_of_the_same_choice_are_no_rivals() -> None:
    twin = at(HOST, 0.0100001, name="H200")
    decision = decided(twin, HOST, at(API, 0.02))
    assert (decision.choice, decision.option) == ("host", "H100")
    assert any("the best of another kind, mid-tier (api)" in reason for reason in decision.reasons)


def test_an_infeasible_rival_is_not_looked_at() -> None:
    assert decided(HOST, at(API, 0.0101, is_feasible=False)).choice == "host"


def test_undefined_everywhere_abstains() -> None:
    decision = decided(at(HOST, None), at(API, None))
    assert (decision.choice, decision.option) == ("abstain", None)
    assert "undefined" in decision.reasons[-1]


def test_undefined_is_dearer_than_any_figure() -> None:
    decision = decided(at(HOST, None, npv_cost_usd=0.0), at(API, 1e9))
    assert decision.choice == "api"
    assert "before H100 (host)" in decision.reasons[-1]


def test_undefined_and_nothing_else_open_takes_the_cheaper_one() -> None:
    dear = at(API, None, name="dear", npv_cost_usd=20.0)
    cheap = at(API, None, name="cheap", npv_cost_usd=10.0)
    assert decided(dear, cheap).option == "cheap"


def test_free_beats_what_costs_and_draws_with_what_is_free() -> None:
    assert decided(at(HOST, 0.0), at(API, 0.001)).choice == "host"
    assert decided(at(HOST, 0.0), at(API, 0.0)).choice == "abstain"


def test_ties_within_a_choice_go_to_the_lower_cost_in_all_and_then_to_the_order() -> None:
    first, second = at(API, 0.01, name="first"), at(API, 0.01, name="second")
    assert decided(first, second).option == "first"
    assert decided(second, first).option == "second"
    assert decided(first, at(second, 0.01, npv_cost_usd=1.0)).option == "second"


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (HOST, ("api", "mid-tier")),
        (at(HYBRID, 0.001), ("api", "mid-tier")),
        (at(HOST, 0.001, capacity_is_measured=True), ("host", "H100")),
    ],
)
def test_the_rule_turns_unmeasured_hosting_into_api(best: Candidate, expected: tuple[str, str]) -> None:
    decision = decided(best, API, at(API, 0.5, name="dear API"), rule=MEASURED)
    assert (decision.choice, decision.option) == expected
    assert decided(best, API).choice == best.kind


def test_the_rule_leaves_hosting_where_no_api_is_open() -> None:
    decision = decided(HOST, at(API, 0.012, is_feasible=False), gates=(MUST_HOST,), rule=MEASURED)
    assert (decision.choice, decision.option) == ("host", "H100")
    assert "no API option is feasible" in decision.reasons[-1]


candidates_lists = st.lists(
    st.builds(
        Candidate,
        name=st.sampled_from("abcdef"),
        kind=st.sampled_from(["host", "api", "hybrid"]),
        is_feasible=st.booleans(),
        cost_per_success_usd=st.none() | st.floats(0.0, 2.0),
        npv_cost_usd=st.floats(0.0, 100.0),
        capacity_is_measured=st.booleans(),
    ),
    max_size=6,
)


@given(candidates_lists, st.floats(0.0, 0.5))
def test_the_rule_can_only_turn_host_or_hybrid_into_api(candidates: list[Candidate], materiality: float) -> None:
    without = decide(candidates, [], materiality, DecisionRule())
    with_rule = decide(candidates, [], materiality, MEASURED)
    if with_rule.choice != without.choice:
        assert without.choice in ("host", "hybrid")
        assert with_rule.choice == "api"
    elif without.choice in ("api", "abstain"):
        assert with_rule == without


@given(candidates_lists, st.floats(0.0, 0.5))
def test_what_is_chosen_is_feasible_and_no_feasible_option_is_cheaper(
    candidates: list[Candidate], materiality: float
) -> None:
    decision = decide(candidates, [], materiality, DecisionRule())
    if decision.option is None:
        assert decision.choice == "abstain"
        return
    feasible = [each for each in candidates if each.is_feasible]
    chosen = [each for each in feasible if (each.name, each.kind) == (decision.option, decision.choice)]
    least = min((each.cost_per_success_usd for each in feasible if each.cost_per_success_usd is not None), default=None)
    assert least in [each.cost_per_success_usd for each in chosen]
