"""What a server must have counted by its answers, and what is told where it did not."""

from typing import Any

import pytest

from planner.loadtest.counts import Bounds, ClientCounts, disagreement
from planner.schema.benchmark import RequestRecord
from planner.schema.telemetry import CrossCheck


def entry(**changes: Any) -> RequestRecord:
    whole: dict[str, Any] = {
        "index": 0,
        "due_s": 0.0,
        "sent_s": 0.0,
        "asked_input_tokens": 100,
        "asked_output_tokens": 20,
        "input_tokens": 105,
        "output_tokens": 20,
        "outcome": "ok",
    }
    return RequestRecord(**{**whole, **changes})


def bounds(*entries: RequestRecord) -> dict[str, Bounds | None]:
    counts = ClientCounts()
    for each in entries:
        counts.take(each)
    return {name: counts.bounds(name) for name in ("requests", "prompt_tokens", "output_tokens")}


def test_answers_that_came_whole_leave_no_room() -> None:
    found = bounds(entry(), entry(is_warmup=True, output_tokens=7))
    assert found == {"requests": (2, 2), "prompt_tokens": (210, 210), "output_tokens": (27, 27)}


@pytest.mark.parametrize("outcome", ["cancelled", "timeout", "truncated", "http_500", "reset_mid_stream"])
def test_a_request_that_failed_may_have_been_served_up_to_what_it_asked(outcome: str) -> None:
    found = bounds(entry(), entry(outcome=outcome, input_tokens=None, output_tokens=None))
    # The prompt as it was asked for, times 105 tokens for every 100 asked.
    assert found == {"requests": (1, 2), "prompt_tokens": (105, 210), "output_tokens": (20, 40)}


@pytest.mark.parametrize("changes", [{"outcome": "connect"}, {"outcome": "client_limit"}, {"sent_s": None}])
def test_a_request_that_never_left_was_not_served(changes: dict[str, Any]) -> None:
    found = bounds(entry(), entry(input_tokens=None, output_tokens=None, **changes))
    assert found == {"requests": (1, 1), "prompt_tokens": (105, 105), "output_tokens": (20, 20)}


def test_answers_without_usage_are_whole_requests_of_unknown_length() -> None:
    found = bounds(entry(), entry(input_tokens=None, output_tokens=None))
    assert found == {"requests": (2, 2), "prompt_tokens": (105, 210), "output_tokens": (20, 40)}


def test_prompts_that_nobody_counted_are_not_compared() -> None:
    assert bounds(entry(input_tokens=None))["prompt_tokens"] is None
    assert bounds()["prompt_tokens"] == (0, 0)


def test_a_server_that_counts_less_has_company_or_lies() -> None:
    told = disagreement(
        {
            "requests": CrossCheck(server=5, client=5, client_most=5),
            "prompt_tokens": CrossCheck(server=4, client=9, client_most=10),
            "output_tokens": CrossCheck(server=30, client=20, client_most=20),
        },
        busy_before=3,
    )
    assert told == (
        "its /metrics count 4 prompt tokens, its answers 9 (at most 10 with those that failed), and 30 output tokens, "
        "its answers 20: somebody else uses the server (3 requests were on it before the first of ours), or its usage "
        "tells too few, or several servers share its address, or its usage tells too many"
    )


def test_what_failed_requests_can_explain_is_no_disagreement() -> None:
    assert disagreement({"output_tokens": CrossCheck(server=25, client=20, client_most=30)}) == ""
    assert disagreement({}) == ""
