"""What a sweep found that chose its loads itself."""

from typing import Annotated

from pydantic import Field

from planner.schema.base import FileModel, NonNegative, Positive


class Saturation(FileModel):
    """The most that a server did, over all numbers of users that were tried."""

    users: Annotated[int, Field(ge=1)]
    """Of the closed loop in which it did."""
    output_tokens_per_s: NonNegative
    """While all users waited [tokens/s]."""
    requests_per_s: NonNegative
    """The same in requests of this workload [requests/s]."""
    is_lower_bound: bool = False
    """Whether throughput still grew with the last users that were tried: there may be more."""


class RateWithinSlo(FileModel):
    """Where the service level ends."""

    met_requests_per_s: NonNegative | None
    """The highest rate that met it, below all that did not [requests/s]; null where none did."""
    missed_requests_per_s: NonNegative | None
    """The lowest rate that did not [requests/s]; null where all did."""
    known_to_fraction: NonNegative | None = None
    """How far what arrived in these loads may lie from the rates asked by chance, with 95 % confidence [fraction].

    Short loads cannot tell rates apart that are nearer. Null where chance has no part in arrivals, and in older runs.
    """


class UsersWithinSlo(FileModel):
    """Likewise in users, where there are no rates: of conversations, or of closed loops alone."""

    met_users: int | None
    """The highest number that met it, below all that did not; null where none did."""
    missed_users: int | None
    """The lowest number that did not; null where all did."""


class SweepResult(FileModel):
    """What a sweep found that chose its loads itself."""

    saturation: Saturation | None
    rate_within_slo: RateWithinSlo | None
    """Null where there is no service level, or no rate was measured."""
    users_within_slo: UsersWithinSlo | None = None
    """Null where there is no service level, or it was looked for in rates."""
    is_complete: bool = True
    """Whether it ended since all was found, and not since its time was over."""
    time_budget_s: Positive | None = None
    """That it was given [s]."""
    spent_s: NonNegative | None = None
    """That it took [s]."""
