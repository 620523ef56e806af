"""Which load points a fit may stand on."""

from pathlib import Path
from typing import Any

import pytest

from planner.schema.benchmark import ClientHealth, LoadPoint, RequestCounts, RequestRecord, Server, Statistics
from planner.schema.profile import Engine, Model
from planner.workflows.fit import timeline_of, usable_points
from planner.workflows.measurements import Measurement


def measurement(**changes: Any) -> Measurement:
    none = Statistics()
    point = LoadPoint(
        offered_requests_per_s=4.0,
        achieved_requests_per_s=4.0,
        requests=RequestCounts(sent=100, ok=100, failed=0),
        input_tokens_per_s=400.0,
        output_tokens_per_s=200.0,
        ttft_s=none,
        itl_s=none,
        tpot_s=none,
        e2e_s=none,
    ).model_copy(update=changes)
    server = Server(url="http://127.0.0.1", model=Model(id="m"), engine=Engine(name="vllm"))
    return Measurement("run", Path("run.json"), "0", "measured", "2026-11-25", server, "4 requests/s", point, ())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"client": ClientHealth(is_saturated=True)}, "the client was the bottleneck"),
        ({"requests": RequestCounts(sent=100, ok=60, failed=40)}, "40 of 100 requests failed"),
        ({"requests": RequestCounts(sent=0, ok=0, failed=0)}, "no request was answered"),
        ({"doubts": ["the server restarted"]}, "the server restarted"),
        ({"other_models": {"mini": 3}}, "mini answered"),
    ],
)
def test_points_that_must_not_be_trusted_are_left_out_and_told(changes: dict[str, Any], why: str) -> None:
    good, bad = measurement(), measurement(**changes)
    usable, warnings = usable_points([good, bad])
    assert usable == [good]
    assert len(warnings) == 1
    assert warnings[0].startswith("4 requests/s: not used")
    assert why in warnings[0]


def test_tokens_between_a_first_and_a_last_one_are_spread_evenly_where_no_others_were_kept() -> None:
    entry = RequestRecord(
        index=0,
        due_s=0.0,
        sent_s=0.0,
        first_token_s=1.0,
        finished_s=2.0,
        asked_input_tokens=None,
        asked_output_tokens=None,
        input_tokens=7,
        output_tokens=5,
        outcome="ok",
        gaps_s=None,
    )
    timeline = timeline_of([entry, entry.model_copy(update={"output_tokens": 1})])
    assert timeline.token_s.tolist() == [1.0, 1.25, 1.5, 1.75, 2.0, 1.0]
    assert timeline.prompt_tokens.tolist() == [7, 7]
