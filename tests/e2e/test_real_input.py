"""From a public trace and a public price list to a plan, checked against a direct sum over the requests."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import genai_prices
import pytest

HORIZON_MONTHS = 12
HOURS_PER_MONTH = 365.25 * 24 / 12

SCENARIO = """
schema: planner.scenario/1
name: Azure conversation trace
as_of: 2026-11-24
currency: USD
horizon_months: {months}
traffic:
  history: {trace}
hosting:
  - name: rented H100
    capacity: {{requests_per_s: 2.0}}
    tenure: on_demand
    usd_per_gpu_hour: 2.50
    operations: {{engineer_fraction: 0.25, engineer_usd_per_year: 220000}}
api:
  - name: GPT-4o mini
    price: {{catalog: genai-prices, provider: openai, model: gpt-4o-mini, checked_on: 2026-11-24}}
    retry_fraction: 0
  - name: Llama 3.3 70B at Groq
    price: {{catalog: genai-prices, provider: groq, model: llama-3.3-70b-versatile, checked_on: 2026-11-24}}
    retry_fraction: 0.05
"""


def direct_bill(trace: Path, provider: str, model: str) -> tuple[float, int, float]:
    """What every request of the trace costs, one call of the price list each; with their number and span [s]."""
    usd, times = 0.0, []
    with gzip.open(trace, "rt") as file:
        for row in csv.DictReader(file):
            usage = genai_prices.Usage(input_tokens=int(row["input_tokens"]), output_tokens=int(row["output_tokens"]))
            usd += float(genai_prices.calc_price(usage, model, provider_id=provider).total_price)
            times.append(float(row["timestamp"]))
    return usd, len(times), max(times) - min(times)


@pytest.fixture(scope="module")
def plan(azure_conversation_trace: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("azure")
    scenario = folder / "azure.yaml"
    scenario.write_text(SCENARIO.format(months=HORIZON_MONTHS, trace=azure_conversation_trace.resolve()))
    command = [sys.executable, "-m", "planner", "plan", str(scenario), "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "provider", "model", "attempts"),
    [
        ("GPT-4o mini", "openai", "gpt-4o-mini", 1.0),
        ("Llama 3.3 70B at Groq", "groq", "llama-3.3-70b-versatile", 1.05),
    ],
)
def test_bill_is_the_sum_over_the_requests(
    plan: dict, azure_conversation_trace: Path, name: str, provider: str, model: str, attempts: float
) -> None:
    usd, requests, span_s = direct_bill(azure_conversation_trace, provider, model)
    assert requests == 19_366
    # n requests span n − 1 gaps, so a steady stream of them lasts n/(n − 1) of the span.
    usd_per_month = usd / (span_s * requests / (requests - 1)) * HOURS_PER_MONTH * 3600 * attempts
    option = next(option for option in plan["options"] if option["name"] == name)
    for row in option["cash_flow"][1:]:
        assert row["lines"] == {"API usage": pytest.approx(usd_per_month, rel=1e-9)}
    assert option["npv_cost_usd"]["mean"] == pytest.approx(usd_per_month * HORIZON_MONTHS, rel=1e-9)


def test_traffic_is_what_the_trace_holds(plan: dict) -> None:
    requests_per_s = plan["break_even"]["now_requests_per_month"] / HOURS_PER_MONTH / 3600
    assert requests_per_s == pytest.approx(5.53, abs=0.005)  # as published with the trace
    lengths = {row["id"]: row["value"] for row in plan["assumptions"] if row["basis"] == "measured"}
    assert lengths["traffic.input_tokens.mean"] == pytest.approx(1155, abs=0.5)
    assert lengths["traffic.output_tokens.mean"] == pytest.approx(211, abs=0.5)
    hosted = next(option for option in plan["options"] if option["name"] == "rented H100")
    assert hosted["replicas"]["first_month"] == 3, "5.53 requests/s at 2 requests/s each"
    assert any("58.4 minutes show neither a day nor a week" in warning for warning in plan["warnings"])
    assert plan["verdict"]["grade"] == "unverified", "capacity is stated, and the rent has no source"
