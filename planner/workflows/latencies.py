"""Latencies that a plan expects of hosting by a profile."""

from collections.abc import Sequence

from planner.core.outcome import Outcome
from planner.core.question import Question
from planner.core.sizing import sizing_load
from planner.workflows.question import LoadedScenario, sampled_hour


def hosted_latencies(
    loaded: LoadedScenario, question: Question, outcomes: Sequence[Outcome]
) -> dict[str, tuple[float, float]]:
    """p95 of TTFT and TPOT [s] in the busiest hour of month 1 that must hold, by hosting option with a profile.

    Args:
        loaded: the scenario and its profiles.
        question: asked of it.
        outcomes: of every option.
    """
    found = {}
    replicas = {outcome.name: int(outcome.replicas[0]) for outcome in outcomes if outcome.kind == "host"}
    level = sizing_load(question.workload.shape, question.attainment_fraction)
    for hosting, profile in zip(question.hosting, loaded.profiles, strict=True):
        load_per_s = level * float(hosting.load_per_s(question.workload)[0])
        count = replicas[hosting.option.name]
        if profile is None or hosting.capacity.is_none or load_per_s <= 0 or count < 1:
            continue
        from planner.core.profile_capacity import KNOWN_REPLICAS, latency_p95_s  # noqa: PLC0415 - numba

        # Of more replicas than were simulated, each carries its share, so that as many as were show the same.
        simulated = min(count, KNOWN_REPLICAS[-1])
        sample = sampled_hour(loaded, hosting.option)
        found[hosting.option.name] = latency_p95_s(profile, simulated, load_per_s * simulated / count, sample)
    return found
