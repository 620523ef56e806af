"""Mistakes in files: all at once, each with line, column, field and what is allowed."""

from pathlib import Path

import pytest

from planner.errors import InputFileError, Problem
from planner.schema.profile import Profile
from planner.schema.scenario import Scenario
from planner.store.documents import load_document
from planner.store.validate import read_model

GOOD = """schema: planner.scenario/1
name: a
as_of: 2026-11-24
currency: USD
horizon_months: 12
traffic: {requests_per_month: 1000, input_tokens: 100, output_tokens: 10}
api:
  - name: x
    price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}
"""


def problems_of(path: Path, text: str) -> list[Problem]:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputFileError) as caught:
        read_model(load_document(path), Scenario, "scenario")
    return list(caught.value.problems)


def test_a_scenario_of_the_least_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD)
    scenario = read_model(load_document(path), Scenario, "scenario")
    assert (scenario.name, scenario.traffic.input_tokens.mean, scenario.api[0].price.output_usd_per_mtok) == (
        "a",
        100,
        2,
    )


def test_all_mistakes_of_a_file_are_told_at_once_in_its_order(tmp_path: Path) -> None:
    text = """schema: planner.scenario/1
name: a
as_of: yesterday
currency: usd
horizon_months: 12
discount_rate: 0.08
traffic:
  requests_per_month: .nan
  burstiness: .inf
  shape: spiky
  input_tokens: none
  output_tokens: -5
hosting:
  - name: b
    tenure: on_demand
    capacity: {requests_per_s: 5, reqests: 1}
    power: {idle_w: 900, busy_w: 300}
  - 5
api:
  - name: x
    price: {input_usd_per_mtok: 1}
"""
    found = [(p.line, p.column, p.field, p.message) for p in problems_of(tmp_path / "s.yaml", text)]
    assert found == [
        (3, 1, "as_of", "must be a day as YYYY-MM-DD; given: 'yesterday'"),
        (4, 1, "currency", "must be three capital letters (ISO 4217), such as USD; given: 'usd'"),
        (6, 1, "discount_rate", "unknown key; nearest known: discount_rate_fraction_per_year"),
        (8, 3, "traffic.requests_per_month", "must be a finite number; given: nan"),
        (9, 3, "traffic.burstiness", "must be a finite number; given: inf"),
        (10, 3, "traffic.shape", "must be 'steady', 'diurnal', 'bursty' or 'history'; given: 'spiky'"),
        (11, 3, "traffic.input_tokens",
         "must be a number at least 0 and at most 1e+09 or a mapping of mean, p95; given: 'none'"),
        (12, 3, "traffic.output_tokens", "must be greater than or equal to 0; given: -5"),
        (14, 5, "hosting[0]", "needs usd_per_gpu_hour with tenure: on_demand"),
        (16, 35, "hosting[0].capacity.reqests", "unknown key; nearest known: requests_per_s"),
        (17, 26, "hosting[0].power.busy_w", "must be at least idle_w (900)"),
        (18, 5, "hosting[1]",
         "must be a mapping of name, profile, capacity, gpus_per_replica, tenure, purchase_usd_per_replica, …; "
         "given: 5"),
        (21, 5, "api[0].price",
         "needs input_usd_per_mtok and output_usd_per_mtok, or catalog with provider and model; "
         "given: input_usd_per_mtok"),
    ]  # fmt: skip


def test_what_is_missing_is_told_where_it_should_stand(tmp_path: Path) -> None:
    text = GOOD.replace("currency: USD\n", "").replace("requests_per_month: 1000, ", "")
    assert [(p.line, p.field, p.message) for p in problems_of(tmp_path / "s.yaml", text)] == [
        (1, "currency", "is missing; it must be three capital letters (ISO 4217), such as USD"),
        (5, "traffic", "needs exactly one of requests_per_month, history, forecast; given: none"),
    ]


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("planner.scenario/2", "newer version of planner; upgrade"),
        ("planner.plan/1", "this is a plan file; needed: planner.scenario/1"),
        ("scenario", "must be planner.scenario/1; given: 'scenario'"),
        ("5", "must be planner.scenario/1; given: 5"),
    ],
)
def test_files_of_another_kind_or_time(tmp_path: Path, tag: str, expected: str) -> None:
    found = problems_of(tmp_path / "s.yaml", GOOD.replace("planner.scenario/1", tag))
    assert [p.field for p in found] == ["schema"]
    assert expected in found[0].message


def test_a_file_without_its_tag_is_still_checked(tmp_path: Path) -> None:
    found = problems_of(tmp_path / "s.yaml", GOOD.replace("schema: planner.scenario/1\n", "").replace("USD", "5"))
    assert [p.field for p in found] == ["schema", "currency"]


def test_what_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    text = GOOD.replace("as_of: 2026-11-24", "as_of: 2026-02-30").replace("USD", "usd").replace("1000, ", "-1, ")
    text = text.replace("price: {input", "price: &p {input")
    found = [problem.field for problem in problems_of(tmp_path / "s.yaml", text)]
    assert found == ["as_of", "currency", "traffic.requests_per_month", "api[0].price"]


def test_long_values_are_cut(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path / "s.yaml", GOOD.replace("2026-11-24", "x" * 5000))
    assert len(problem.message) < 120


def test_problems_found_elsewhere_stand_for_those_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(GOOD.replace("requests_per_month: 1000", "requests_per_month: {uncertain: {}}").replace("USD", "5"))
    elsewhere = Problem(str(path), 6, 11, "traffic.requests_per_month", "not in this version")
    with pytest.raises(InputFileError) as caught:
        read_model(load_document(path), Scenario, "scenario", extra=[elsewhere])
    assert [p.message for p in caught.value.problems] == [
        "must be text; given: 5",
        "not in this version",
    ]


def test_measured_profiles_show_their_evidence(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    path.write_text(
        '{"schema": "planner.profile/1", "name": "p", "basis": "measured", "step_time_s": {"base": 0.006},\n'
        ' "limits": {"max_num_seqs": 256, "max_num_batched_tokens": 8192, "kv_cache_tokens": 400000,\n'
        '  "block_tokens": 16, "max_model_len": 16384}}'
    )
    with pytest.raises(InputFileError, match="basis: measured also needs points, engine, accelerator, provenance"):
        read_model(load_document(path), Profile, "profile")
