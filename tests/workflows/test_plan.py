"""Plans as a whole: figures that agree with each other, and what is said about them."""

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest

from planner.errors import InputFileError
from planner.schema.plan import Flip
from planner.store.plans import plan_json, read_plan
from planner.workflows.plan import make_plan


def test_figures_agree_with_each_other(bench: Any) -> None:
    plan = bench.plan({"discount_rate_fraction_per_year": 0.1, "traffic.growth_fraction_per_month": 0.03})
    discount = [1.1 ** (-month / 12) for month in range(13)]
    requests = [0.0] + [20e6 * 1.03**month for month in range(12)]
    assert [option.kind for option in plan.options] == ["host", "api", "hybrid"]
    for option in plan.options:
        for row in option.cash_flow:
            assert row.total_usd == pytest.approx(math.fsum(row.lines.values()), abs=1e-6)
        npv = sum(row.total_usd * factor for row, factor in zip(option.cash_flow, discount, strict=True))
        assert option.npv_cost_usd.mean == pytest.approx(npv)
        assert option.monthly_cost_usd.mean == pytest.approx(npv / sum(discount[1:]))
        discounted = sum(map(math.prod, zip(requests, discount, strict=True)))
        assert option.cost_per_success_usd.mean == pytest.approx(npv / discounted)
        assert option.cost_per_mtok_usd == pytest.approx(npv / discounted / 1500 * 1e6)


def test_rented_bill_by_hand(bench: Any) -> None:
    plan = bench.plan()
    host, api, _ = plan.options
    # 20 million a month are 7.6051 a second; the busiest hours, twice that, are 15.21, which three replicas of 5
    # do not hold; four do.
    assert (host.replicas.first_month, host.replicas.last_month) == (4, 4)
    assert host.cash_flow[0].lines == {"one-off": 1000, "rent": 0, "people": 0}
    assert host.cash_flow[12].lines == {
        "one-off": 0,
        "rent": pytest.approx(4 * 2.5 * 730.5),
        "people": pytest.approx(0.1 * 200000 / 12),
    }
    # 1,200 prompt tokens at 0.50 and 300 generated at 2.00 per million are 0.0012 a request.
    assert api.cash_flow[1].lines == {"API usage": pytest.approx(20e6 * 0.0012 * 1.02)}


def test_zero_volume_is_undefined(bench: Any) -> None:
    plan = bench.plan({"traffic.requests_per_month": 0})
    assert [option.kind for option in plan.options] == ["host", "api"]
    for option in plan.options:
        assert option.cost_per_success_usd is None
        assert option.cost_per_mtok_usd is None
        assert option.hosted_fraction is None
    assert plan.break_even.now_requests_per_month == 0
    assert plan.verdict.choice == "abstain"
    assert "undefined" in plan.verdict.reasons[-1]


def test_risk_without_doubt_is_certain_by_construction(bench: Any) -> None:
    plan = bench.plan()
    best = min(plan.options, key=lambda option: option.cost_per_success_usd.mean)
    assert plan.verdict.option == best.name
    assert plan.verdict.probability_best == 1
    assert plan.risk.probability_best == {option.name: float(option is best) for option in plan.options}
    for option in plan.options:
        lead = option.npv_cost_usd.mean - best.npv_cost_usd.mean
        assert plan.risk.expected_regret_usd[option.name] == pytest.approx(lead)
    assert any("no input states a doubt" in warning for warning in plan.warnings)


@pytest.mark.parametrize(
    ("changes", "choice", "expected"),
    [
        (
            {},
            "hybrid",
            [("traffic", "host"), ("traffic", "abstain"), ("traffic", "api"),  # at ever lower volumes
             ("traffic", "abstain"), ("traffic", "host"),  # at ever higher ones
             ("api", "abstain"), ("api", "api")],
        ),
        ({"requirements.frontier_capability": "required"}, "api", []),
        ({"traffic.requests_per_month": 0}, "abstain", []),
    ],
    ids=["hybrid", "a requirement decides", "nothing to decide"],
)  # fmt: skip
def test_flips_flip(bench: Any, changes: dict[str, Any], choice: str, expected: list[tuple[str, str]]) -> None:
    """At each switch point the verdict is the one given, and just short of it it is not."""

    def choice_at(flip: Flip, value: float) -> str:
        if flip.input == "traffic.requests_per_month":
            return str(bench.plan({**changes, flip.input: value}).verdict.choice)
        prices = {"input_usd_per_mtok": 0.5 * (1 + value), "output_usd_per_mtok": 2 * (1 + value)}
        return str(bench.plan({**changes, "api.0.price": prices}).verdict.choice)

    plan = bench.plan(changes)
    assert plan.verdict.choice == choice
    assert [(flip.input.partition(".")[0], flip.to) for flip in plan.flips] == expected
    for flip in plan.flips:
        assert choice_at(flip, flip.flips_at) == flip.to
        assert choice_at(flip, flip.flips_at + (flip.now - flip.flips_at) * 1e-5) != flip.to


@pytest.mark.parametrize(
    ("changes", "grade", "because"),
    [
        ({}, "unverified", ["h: capacity is stated, not measured"]),
        ({"hosting": []}, "decision", []),
        ({"hosting": [], "api.0.price.basis": "example"}, "example", ["a: the price is an example"]),
        ({"hosting": [], "api.0.price.checked_on": None}, "unverified", ["a: nobody says when the price was checked"]),
        ({"hosting": [], "as_of": "2027-01-19"}, "decision", []),
        ({"hosting": [], "as_of": "2027-01-20"}, "unverified",
         ["a: the price was checked 61 days ago; 60 are allowed"]),
        ({"hosting": [], "as_of": "2026-11-19"}, "unverified", ["a: the price was checked after the day of the plan"]),
    ],
)  # fmt: skip
def test_grade_says_what_the_figures_can_carry(
    bench: Any, changes: dict[str, Any], grade: str, because: list[str]
) -> None:
    verdict = bench.plan(changes).verdict
    assert (verdict.grade, verdict.grade_because) == (grade, because)


def test_the_grade_never_changes_the_choice(bench: Any) -> None:
    plain = bench.plan().verdict
    stale = bench.plan({"as_of": "2029-01-01", "api.0.price.basis": "example"}).verdict
    assert (plain.grade, stale.grade) == ("unverified", "example")
    assert (plain.choice, plain.option) == (stale.choice, stale.option)


@pytest.mark.parametrize(
    ("changes", "day"),
    [
        ({"api.0.price.checked_on": None, "hosting": []}, "2027-02-23"),  # a quarter, 91 days
        ({"hosting": []}, "2027-01-19"),  # 60 days after the price was checked
        ({}, "2026-12-31"),
        ({"as_of": "2028-01-01"}, "2028-01-01"),
    ],
)
def test_decide_again_after_a_quarter_or_when_a_price_expires(bench: Any, changes: dict[str, Any], day: str) -> None:
    assert bench.plan(changes).verdict.decide_again_on.isoformat() == day


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"hosting.0.operations": None}, "h: left out, so taken to cost 0: operations"),
        ({"requirements.model_changes_per_year": 2},
         "h: left out, so taken to cost 0: requalification_usd_per_model_change"),
        ({"traffic.burstiness": 4},
         "traffic.burstiness: has no effect on stated capacity, which is sized by hourly means"),
        ({"traffic.shape": "steady"}, "traffic.peak_to_mean: not used by shape: steady"),
        ({"traffic.burst_hours_fraction": 0.1}, "traffic.burst_hours_fraction: not used by shape: diurnal"),
        ({"traffic.peak_to_mean": None}, "traffic.peak_to_mean: 1, so that shape: diurnal is flat"),
        ({"hosting.0.purchase_usd_per_replica": 5}, "h: not used with tenure: on_demand: purchase_usd_per_replica"),
        ({"hosting.0.prefix_hit_fraction": 0.3}, "h: prefix_hit_fraction has no effect on stated capacity"),
        ({"hosting.0.price_source": None}, "h: the price has no price_source, so nobody can tell how old it is"),
        ({"service.slo.ttft_p95_s": 0.5},
         "service.slo: taken to hold up to the stated capacity; nothing here checks it"),
        ({"api.0.retry_fraction": None}, "a: left out, so taken to cost 0: retry_fraction"),
        ({"api.0.price.cached_input_usd_per_mtok": None},
         "a: no price for cached prompt tokens, so they cost as much as the others"),
        ({"api.0.price.checked_on": None}, "a: the price has no checked_on, so nobody can tell how old it is"),
    ],
)  # fmt: skip
def test_what_was_left_out_or_has_no_effect_is_told(bench: Any, changes: dict[str, Any], warning: str) -> None:
    assert warning not in bench.plan().warnings
    assert warning in bench.plan(changes).warnings


def test_purchases_warn_of_the_costs_of_ownership(bench: Any) -> None:
    changes = {"hosting.0.tenure": "purchase", "hosting.0.purchase_usd_per_replica": 30000}
    warnings = "\n".join(bench.plan(changes).warnings)
    for line in ("power", "colocation_usd_per_month_per_replica", "maintenance_fraction_per_year"):
        assert line in warnings
    assert "h: not used with tenure: purchase: usd_per_gpu_hour" in warnings


def test_the_order_of_requests_is_irrelevant(bench: Any) -> None:
    rows = [f"{second * 7},{100 + second * 37 % 900},{second * 13 % 50}" for second in range(600)]
    shuffled = rows[1::2] + rows[-2::-2]
    assert sorted(shuffled) == sorted(rows)
    changes = {"traffic.requests_per_month": None, "traffic.history": "h.csv", "traffic.shape": None}
    plans = []
    for order in (rows, shuffled):
        (bench.folder / "h.csv").write_text("timestamp,input_tokens,output_tokens\n" + "\n".join(order) + "\n")
        plans.append(bench.plan(changes))
    in_order, otherwise = plans
    assert (otherwise.verdict, otherwise.break_even, otherwise.flips) == (
        in_order.verdict, in_order.break_even, in_order.flips,
    )  # fmt: skip
    assert otherwise.options == in_order.options
    assert any("earlier than the row before; sorted" in warning for warning in otherwise.warnings)


def test_every_number_of_the_scenario_is_in_the_register(bench: Any) -> None:
    register = {row.id: row for row in bench.plan().assumptions}
    assert len(register) == len(bench.plan().assumptions), "ids are unique"
    rent = register["hosting[0].usd_per_gpu_hour"]
    assert (rent.value, rent.unit, rent.basis, rent.source) == (2.5, "USD/GPU/h", "quoted", "offer 12")
    assert (rent.age_days, rent.expires_on.isoformat(), rent.used_by) == (23, "2026-12-31", ["h", "h + a"])
    volume = register["traffic.requests_per_month"]
    assert (volume.value, volume.basis, volume.source.split(":")[0]) == (20_000_000, "assumed", "s.yaml")
    assert register["api[0].price.input_usd_per_mtok"].basis == "list"
    assert register["discount_rate_fraction_per_year"].basis == "default"
    assert register["hosting[0].spare_replicas"].source == "left out"


def test_catalogue_prices_are_in_the_register(bench: Any) -> None:
    price = {"catalog": "genai-prices", "provider": "openai", "model": "gpt-4o-mini", "checked_on": "2026-11-20"}
    row = next(row for row in bench.plan({"api.0.price": price}).assumptions if "output_usd" in row.id)
    assert (row.id, row.value, row.unit, row.basis) == (
        "api[0].price.output_usd_per_mtok",
        0.6,
        "USD/million tokens",
        "list",
    )
    assert row.source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("price", "field", "message"),
    [
        ({"provider": "openay", "model": "gpt-4o-mini"}, "api[0].price.provider", "nearest: openai"),
        ({"provider": "openai", "model": "gpt-4o-mimi"}, "api[0].price.model", "gpt-4o-mini"),
    ],
)
def test_what_the_catalogue_lacks_is_told(bench: Any, price: dict[str, str], field: str, message: str) -> None:
    (problem,) = bench.problems({"api.0.price": {"catalog": "genai-prices", **price}})
    assert problem.field == field
    assert message in problem.message


def test_a_catalogue_in_dollars_is_not_taken_for_euros(bench: Any) -> None:
    price = {"catalog": "genai-prices", "provider": "openai", "model": "gpt-4o-mini"}
    (problem,) = bench.problems({"currency": "EUR", "api.0.price": price})
    assert (problem.field, problem.message) == ("api[0].price.catalog", "is in USD; state the figures in EUR")


def test_what_is_paid_today(bench: Any) -> None:
    assert bench.plan({"current.usd_per_month": 9000}).current.monthly_cost_usd == 9000
    plan = bench.plan({"current.option": "a"})
    assert plan.current.monthly_cost_usd == plan.options[1].monthly_cost_usd.mean
    (problem,) = bench.problems({"current.option": "b"})
    assert problem.message == "option must be one of: h, a, h + a; given: b"


def test_machines_that_nobody_can_run_are_not_compared(bench: Any) -> None:
    # Unstaffed, `h` would cost 1 000 less a month; what it costs is left out of break-evens and switch points, as of
    # the choice. A rent of 2.5 × 730.5 and people of 5 000 a month: (1 826.25 + 5 000 + 1 000 / 12) / 0.001224.
    unstaffed = {"name": "h", "capacity": {"requests_per_s": 5000}, "tenure": "on_demand", "usd_per_gpu_hour": 2.5}
    people = {"engineer_fraction": 0.3, "engineer_usd_per_year": 200000}
    staffed = copy.deepcopy(unstaffed) | {"name": "h + s", "one_off_usd": 1000, "operations": people}
    changes = {
        "hosting": [unstaffed, staffed],
        "requirements.gpu_operations_experience": "none",
        "traffic.requests_per_month": 3000000,
    }
    plan = bench.plan(changes)
    feasible = {option.name: option.is_feasible for option in plan.options}
    assert (feasible["h"], feasible["h + s"], plan.verdict.choice) == (False, True, "api")
    assert plan.break_even.requests_per_month[0][0] == pytest.approx((1826.25 + 5000 + 1000 / 12) / 0.001224, rel=1e-6)
    up = [flip for flip in plan.flips if flip.input == "traffic.requests_per_month" and flip.flips_at > flip.now]
    assert [flip.to for flip in up][:2] == ["abstain", "host"]
    assert next(row for row in plan.assumptions if row.id == "hosting[0].usd_per_gpu_hour").used_by == ["h", "h + a"]


def test_a_split_that_is_none_is_told(bench: Any) -> None:
    flat = {"traffic.shape": None, "traffic.peak_to_mean": None}
    (told,) = [warning for warning in bench.plan(flat).warnings if "no hybrid" in warning]
    assert told == "no hybrid, since the best split serves every request in house, without a spare: h + a (2 replicas)"
    small = bench.plan({**flat, "traffic.requests_per_month": 1000, "current.option": "h + a"})
    assert "no hybrid, since the best split sends every request to the API: h + a" in small.warnings
    assert any("what h + a costs today is not known" in warning for warning in small.warnings)


def test_the_decision_rule_makes_its_choice_no_more_probable(bench: Any) -> None:
    plan = bench.plan({"decision_rule.measured_capacity": True})
    assert (plan.verdict.choice, plan.verdict.probability_best) == ("api", 0.0)
    assert {flip.to for flip in plan.flips} == {"abstain"}, "no volume and no price measures a capacity"


def test_regret_counts_from_what_is_free(bench: Any) -> None:
    free = {"hosting.0.usd_per_gpu_hour": 0, "hosting.0.one_off_usd": 0, "hosting.0.operations": None}
    plan = bench.plan(free)
    host, api = plan.options[:2]
    assert host.npv_cost_usd.mean == 0
    assert plan.risk.expected_regret_usd["a"] == pytest.approx(api.npv_cost_usd.mean)


def test_hybrids_need_data_that_may_leave(bench: Any) -> None:
    for requirement in ({"requirements.data_residency": "required"}, {"requirements.offline": True}):
        plan = bench.plan(requirement)
        assert [(option.kind, option.is_feasible) for option in plan.options] == [("host", True), ("api", False)]
        assert plan.verdict.choice == "host"


def test_a_history_that_is_missing_is_told_where_it_is_named(bench: Any) -> None:
    (problem,) = bench.problems({"traffic.requests_per_month": None, "traffic.history": "gone.csv"})
    assert (problem.field, problem.message) == ("traffic.history", "no such file: gone.csv")
    assert problem.line > 1


def test_counts_without_tokens_need_lengths(bench: Any) -> None:
    (bench.folder / "h.csv").write_text("timestamp,requests\n0,100\n3600,300\n")
    changes = {"traffic.requests_per_month": None, "traffic.history": "h.csv", "traffic.shape": None}
    plan = bench.plan(changes)
    assert plan.break_even.now_requests_per_month == pytest.approx(200 * 730.5)
    without = {**changes, "traffic.input_tokens": None, "traffic.output_tokens": None}
    (problem,) = bench.problems(without)
    assert problem.message == "input_tokens and output_tokens missing, and h.csv has no such column"


def test_plans_are_read_back_as_written(bench: Any) -> None:
    plan = bench.plan()
    path = bench.folder / "p.json"
    path.write_text(plan_json(plan), encoding="utf-8")
    assert read_plan(path) == plan
    assert plan_json(plan) == plan_json(make_plan(bench.written({}))), "the same file gives the same bytes"


def test_a_damaged_plan_is_told_by_field(bench: Any, tmp_path: Path) -> None:
    data = json.loads(plan_json(bench.plan()))
    data["verdict"]["choice"] = "buy"
    data["options"][1]["is_feasible"] = "yes"
    path = tmp_path / "p.json"
    path.write_text(json.dumps(data, indent=1))
    with pytest.raises(InputFileError) as caught:
        read_plan(path)
    assert [problem.field for problem in caught.value.problems] == ["verdict.choice", "options[1].is_feasible"]
    assert all(problem.line > 1 for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scenario.currency", "\x08"),
        ("scenario.horizon_months", 10**9),
        ("scenario.discount_rate_fraction_per_year", -1),
        ("curves.requests_per_month", []),
        ("curves.requests_per_month", [5e-324, 1]),
        ("curves.options.0.cost_per_success_usd", [1.0]),
        ("break_even.now_requests_per_month", 1e308),
        ("options.0.cash_flow", []),
        ("assumptions.1.value", 1e308),
    ],
)
def test_no_figure_of_a_plan_leads_a_report_astray(bench: Any, field: str, value: Any) -> None:
    data = json.loads(plan_json(bench.plan()))
    *parents, last = (int(part) if part.isdigit() else part for part in field.split("."))
    target = data
    for parent in parents:
        target = target[parent]
    target[last] = value
    path = bench.folder / "p.json"
    path.write_text(json.dumps(data))
    with pytest.raises(InputFileError) as caught:
        read_plan(path)
    assert caught.value.problems[0].field.startswith(field.split(".", maxsplit=1)[0])


def test_a_unit_that_must_be_wrong_is_refused(bench: Any) -> None:
    (problem,) = bench.problems({"traffic.requests_per_month": 1e9, "hosting.0.capacity.requests_per_s": 0.001})
    assert problem.field == "hosting[0].capacity"
    assert problem.line > 1
    assert "760,515 would be needed, and 10,000 are the most" in problem.message


def test_results_that_cannot_be_computed_are_told(bench: Any) -> None:
    changes = {"horizon_months": 240, "traffic.growth_fraction_per_month": 10, "hosting": []}
    (problem,) = bench.problems(changes)
    assert "results that cannot be computed: a unit must be wrong" in problem.message


def test_a_volume_that_vanishes_can_be_planned(bench: Any) -> None:
    plan = bench.plan({"horizon_months": 240, "traffic.growth_fraction_per_month": -0.999999})
    assert plan.options[0].replicas.last_month == 0
    assert all(math.isfinite(option.npv_cost_usd.mean) for option in plan.options)


def test_hours_without_load_can_be_planned(bench: Any) -> None:
    # All requests come in a twentieth of the hours, at 20 × 7.605 a second: 31 replicas of 5, however few must hold.
    bursts = {"traffic.shape": "bursty", "traffic.peak_to_mean": 20, "traffic.burst_hours_fraction": 0.05}
    plan = bench.plan({**bursts, "service.attainment_fraction": 1e-12})
    assert plan.options[0].replicas.first_month == 31


def test_mistakes_of_everything_that_is_named_come_in_one_round(bench: Any) -> None:
    price = {"catalog": "genai-prices", "provider": "openay", "model": "gpt-4o-mini"}
    changes = {"traffic.requests_per_month": None, "traffic.history": "h.csv", "api.0.price": price, "nme": 1}
    (bench.folder / "h.csv").write_text("timestamp,requests\n0,x\n")
    found = [(problem.field, problem.line) for problem in bench.problems(changes)]
    assert [field for field, _ in found] == ["requests", "api[0].price.provider", "nme"]
    gone = bench.problems({**changes, "traffic.history": "gone.csv"})
    assert {problem.field for problem in gone} == {"traffic.history", "api[0].price.provider", "nme"}
