"""When the server could not be reached, as the requests tell."""

import pytest

from planner.loadtest.outage import Outages
from planner.schema.benchmark import RequestRecord


def ended(outcome: str, sent_s: float, finished_s: float) -> RequestRecord:
    return RequestRecord(
        index=0,
        due_s=sent_s,
        sent_s=sent_s,
        first_token_s=finished_s - 0.1 if outcome == "ok" else None,
        finished_s=finished_s,
        asked_input_tokens=1,
        asked_output_tokens=1,
        outcome=outcome,
    )


def outages(*entries: RequestRecord) -> Outages:
    found = Outages()
    for entry in entries:
        found.take(entry)
    return found


def test_an_outage_ends_with_a_success_that_was_sent_in_it() -> None:
    found = outages(
        ended("ok", 0.0, 1.0),
        ended("reset_mid_stream", 1.0, 2.0),
        ended("reset_before_headers", 1.5, 2.0),
        ended("ok", 1.9, 2.3),  # sent before: it tells nothing of the time after
        ended("connect", 2.5, 2.5),
        ended("timeout_connect", 2.6, 3.5),
        ended("ok", 4.0, 5.0),
    )
    assert (found.from_s, found.until_s, found.lost, found.refused, found.more) == (2.0, pytest.approx(4.9), 2, 2, 0)
    told = "no answer from 2.00 s to 4.90 s after the start: 2 connections were lost, 2 could not be made"
    assert found.told() == told


def test_other_failures_are_no_outage() -> None:
    kinds = ("http_503", "timeout", "truncated", "stream_error", "protocol_error", "cancelled", "ok")
    assert outages(*(ended(kind, 1.0, 2.0) for kind in kinds)).told() == ""


def test_an_outage_without_end_and_several_of_them() -> None:
    assert "from 2.00 s to the end: 0 connections were lost, 1" in outages(ended("connect", 2.0, 2.0)).told()
    found = outages(
        ended("reset_mid_stream", 1.0, 2.0),
        ended("ok", 3.0, 4.0),
        ended("reset_mid_stream", 5.0, 6.0),
        ended("ok", 7.0, 8.0),
        ended("reset_mid_stream", 7.0, 9.0),
    )
    assert (found.from_s, found.until_s, found.more) == (2.0, pytest.approx(3.9), 2)
    assert "and 2 more times" in found.told()
