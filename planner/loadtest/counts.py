"""What a server must have counted of a load, by its answers: exactly, where every one of them came whole."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from planner.engines.answers import CLIENT_LIMIT, OK
from planner.schema.benchmark import RequestRecord
from planner.schema.telemetry import CrossCheck

Counted = Literal["requests", "prompt_tokens", "output_tokens"]

_NEVER_CAME = frozenset({"connect", "timeout_connect", CLIENT_LIMIT})
"""Outcomes of requests that no server had."""
_NAMES: Mapping[Counted, str] = {
    "requests": "requests",
    "prompt_tokens": "prompt tokens",
    "output_tokens": "output tokens",
}


class Bounds(NamedTuple):
    """What a count must at least be, and can at most be."""

    least: int
    most: int


class ClientCounts:
    """Takes the requests of a load as they end, those of the warm-up too.

    A request that came whole is one request, its prompt and its answer, as its usage tells them. One that failed or was
    cut off may have been served in part, or to its end without our knowing: so may have been its prompt, and its answer
    up to the length asked for, beyond which no server goes. The same holds of answers without usage.
    """

    def __init__(self) -> None:
        self._requests = self._maybe_requests = 0
        self._prompt = self._output = self._maybe_output = 0
        self._maybe_asked_input = 0
        self._tokens_per_token_asked = 1.0
        self._knows_prompts = False

    def take(self, entry: RequestRecord) -> None:
        """Takes a request that ended."""
        if entry.sent_s is None or entry.outcome in _NEVER_CAME:
            return
        is_whole = entry.outcome == OK
        asked_input, asked_output = entry.asked_input_tokens or 0, entry.asked_output_tokens or 0
        self._requests += is_whole
        self._maybe_requests += not is_whole
        if is_whole and entry.output_tokens is not None:
            self._output += entry.output_tokens
        else:
            self._maybe_output += max(asked_output, entry.output_tokens or 0)
        if is_whole and entry.input_tokens is not None:
            self._prompt += entry.input_tokens
            ratio = entry.input_tokens / max(1, asked_input)
            self._tokens_per_token_asked = max(self._tokens_per_token_asked, ratio)
            self._knows_prompts = True
        else:
            self._maybe_asked_input += asked_input

    def bounds(self, what: Counted) -> Bounds | None:
        """Between which the server's count must lie; None where nobody can tell."""
        if what == "requests":
            return Bounds(self._requests, self._requests + self._maybe_requests)
        if what == "output_tokens":
            return Bounds(self._output, self._output + self._maybe_output)
        if self._maybe_asked_input and not self._knows_prompts:
            return None
        # Nobody counted the prompts of the others; none that was counted had more tokens for each one asked.
        most = self._prompt + self._maybe_asked_input * self._tokens_per_token_asked
        return Bounds(self._prompt, int(-(-most // 1)))


def disagreement(checks: Mapping[Counted, CrossCheck], busy_before: int = 0) -> str:
    """What must be told where server and answers do not agree; empty where they do.

    Args:
        checks: what was compared.
        busy_before: requests that the server had before the first of ours.

    Example:
        >>> print(disagreement({"output_tokens": CrossCheck(server=650, client=150, client_most=150)}))
        its /metrics count 650 output tokens, its answers 150: somebody else uses the server, or its usage tells too few
    """
    wrong = {name: check for name, check in checks.items() if not check.is_equal}
    if not wrong:
        return ""
    told = ", and ".join(
        f"{check.server:,} {_NAMES[name]}, its answers {check.client:,}"
        + (f" (at most {check.client_most:,} with those that failed)" if check.client_most > check.client else "")
        for name, check in wrong.items()
    )
    causes = []
    if any(check.server > check.client_most for check in wrong.values()):
        begun = f" ({busy_before} requests were on it before the first of ours)" if busy_before else ""
        causes += [f"somebody else uses the server{begun}", "its usage tells too few"]
    if any(check.server < check.client for check in wrong.values()):
        causes += ["several servers share its address", "its usage tells too many"]
    return f"its /metrics count {told}: {', or '.join(causes)}"
