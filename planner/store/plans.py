"""Plans as JSON files."""

import json
from pathlib import Path

from planner.schema.plan import Plan
from planner.store.documents import load_document
from planner.store.validate import read_model


def plan_json(plan: Plan) -> str:
    """A plan as its file holds it: the same plan gives the same bytes."""
    data = plan.model_dump(mode="json", by_alias=True)
    return json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def read_plan(path: Path) -> Plan:
    """Reads a plan.

    Raises:
        InputFileError: every mistake of the file.
    """
    return read_model(load_document(path), Plan, "plan")
