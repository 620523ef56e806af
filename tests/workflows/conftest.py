"""A scenario that every test of the workflows changes in one place."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from ruamel.yaml import YAML

from planner.errors import InputFileError, Problem
from planner.schema.plan import Plan
from planner.workflows.plan import make_plan

SCENARIO = """
schema: planner.scenario/1
name: base
as_of: 2026-11-24
currency: USD
horizon_months: 12
traffic:
  requests_per_month: 20000000
  shape: diurnal
  peak_to_mean: 2
  input_tokens: 1200
  output_tokens: 300
hosting:
  - name: h
    capacity: {requests_per_s: 5}
    tenure: on_demand
    usd_per_gpu_hour: 2.5
    price_source: {basis: quote, source: offer 12, checked_on: 2026-11-01}
    one_off_usd: 1000
    operations: {engineer_fraction: 0.1, engineer_usd_per_year: 200000}
api:
  - name: a
    price:
      input_usd_per_mtok: 0.5
      cached_input_usd_per_mtok: 0.05
      output_usd_per_mtok: 2
      source: list
      checked_on: 2026-11-20
    retry_fraction: 0.02
"""

Changes = dict[str, Any]


class Workbench:
    """Plans of the base scenario with changes, given as {"hosting.0.tenure": "spot"}; None takes a field out."""

    _base: ClassVar[list[Plan]] = []

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def written(self, changes: Changes) -> Path:
        """The changed scenario as a file."""
        yaml = YAML(typ="safe", pure=True)
        data = yaml.load(SCENARIO)
        for name, value in changes.items():
            *parents, last = (int(part) if part.isdigit() else part for part in name.split("."))
            target = data
            for parent in parents:
                target = target[parent] if isinstance(parent, int) else target.setdefault(parent, {})
            if value is None:
                del target[last]
            else:
                target[last] = value
        path = self.folder / "s.yaml"
        with path.open("w") as file:
            yaml.dump(data, file)
        return path

    def plan(self, changes: Changes | None = None) -> Plan:
        """The plan of the changed scenario; that of the base is made once for all tests."""
        if changes:
            return make_plan(self.written(changes))
        if not self._base:
            self._base.append(make_plan(self.written({})))
        return self._base[0]

    def problems(self, changes: Changes) -> list[Problem]:
        """What is wrong with the changed scenario."""
        with pytest.raises(InputFileError) as caught:
            self.plan(changes)
        return list(caught.value.problems)


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return Workbench(tmp_path)
