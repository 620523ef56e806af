"""What servers do wrong, and what a client must make of it: the table that modes are entered in."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stage import Stage

from planner.engines.exchange import Timeouts

Play = Callable[[Stage], Awaitable[bool]]

LONG, SHORT = Timeouts(20.0), Timeouts(5.0, first_token_s=0.5, idle_s=0.3)


@dataclass(frozen=True)
class Fault:
    """A way to answer.

    Attributes:
        row: of the list of faults that it stands for.
        play: what the server does.
        outcome: what the client must call it.
        message: what it must say, in part.
        timeouts: under which it is told apart.
        is_early: whether the server answers before it has read the body.
    """

    row: str
    play: Play
    outcome: str = "ok"
    message: str = ""
    timeouts: Timeouts = LONG
    is_early: bool = False


FAULTS: dict[str, Fault] = {}


def fault(
    row: str, outcome: str = "ok", message: str = "", *, timeouts: Timeouts = LONG, is_early: bool = False
) -> Callable[[Play], Play]:
    """Enters what it stands above under its name."""

    def enter(play: Play) -> Play:
        FAULTS[play.__name__] = Fault(row, play, outcome, message, timeouts, is_early)
        return play

    return enter
