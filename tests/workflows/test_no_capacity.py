"""Plans with machines of which even an idle one misses the service level."""

from dataclasses import replace
from typing import Any

import pytest

from planner.core.capacity import Capacity
from planner.report.markdown import render_markdown
from planner.workflows import plan as planning

NONE = Capacity.known_at([1], [0.0])


@pytest.fixture
def idle_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No stated capacity is none, so the question is asked with another one."""
    asked = planning.ask

    def ask(*args: Any) -> Any:
        question, sample = asked(*args)
        return replace(question, hosting=tuple(replace(of, capacity=NONE) for of in question.hosting)), sample

    monkeypatch.setattr(planning, "ask", ask)


@pytest.mark.usefixtures("idle_misses")
@pytest.mark.parametrize(
    ("requirements", "choice"), [({}, "api"), ({"offline": True}, "abstain")], ids=["free", "offline"]
)
def test_a_plan_lists_them_as_not_feasible(bench: Any, requirements: dict[str, Any], choice: str) -> None:
    plan = bench.plan({"requirements": requirements})
    host, _ = plan.options
    assert plan.verdict.choice == choice
    assert not host.is_feasible
    assert host.infeasible_because[-1].startswith("one idle replica already misses the service level")
    # One replica for 730.5 hours, and a tenth of an engineer.
    assert host.cash_flow[1].total_usd == pytest.approx(2.5 * 730.5 + 20000 / 12)
    assert (host.cost_per_success_usd, host.cost_per_mtok_usd, host.slo.attainment_fraction) == (None, None, 0.0)
    assert plan.break_even.requests_per_month == []
    assert (plan.curves, plan.flips) == (None, [])
    assert "one idle replica already misses the service level" in render_markdown(plan)


@pytest.mark.usefixtures("idle_misses")
@pytest.mark.parametrize("current", ["h", "h + a"])
def test_what_they_cost_today_is_not_known(bench: Any, current: str) -> None:
    plan = bench.plan({"current": {"option": current}})
    assert plan.current is None
    told = f"current.option: what {current} costs today is not known: an idle h misses the service level"
    assert told in plan.warnings
