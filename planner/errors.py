"""What can go wrong, each with the exit code that the command line gives it."""

from collections.abc import Sequence
from dataclasses import dataclass

_MOST_TOLD = 200


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, and what would be allowed there."""

    file: str
    """The file as the user named it."""
    line: int
    """Line, counted from 1; 0 where the mistake has no line (a file that is missing, say)."""
    column: int
    """Column, counted from 1; 0 where the mistake is of a whole line, or has none."""
    field: str
    """Path of the field, as in `traffic.input_tokens.mean`; empty for the whole file."""
    message: str
    """What is wrong and what is allowed."""

    def __str__(self) -> str:
        place = ":".join([self.file, *(str(number) for number in (self.line, self.column) if number)])
        return visible(f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}")


def visible(text: str) -> str:
    r"""Text on one line in which every sign can be seen: a file's content must not forge lines or move the cursor.

    Example:
        >>> print(visible("a\x1b[2Kb\nc é"))
        a\x1b[2Kb\nc é
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


class PlannerError(Exception):
    """A failure that is the user's to mend: it ends without a traceback."""

    exit_code = 2


class InputError(PlannerError):
    """One value that cannot be computed with; raised by the numeric core.

    `loc` is where the value stands in the scenario, as keys and list positions; `field` the last of them.
    """

    def __init__(self, field: str, message: str, within: tuple[int | str, ...] = ()) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.loc = (*within, field)


class InputFileError(PlannerError):
    """Every mistake found in the user's files, all at once, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        told = [str(problem) for problem in self.problems[:_MOST_TOLD]]
        more = len(self.problems) - len(told)
        super().__init__("\n".join([*told, f"and {more:,} more"] if more else told))


class EnvironmentLackingError(PlannerError):
    """Something outside the input is lacking: a server, a package, room on the disk."""

    exit_code = 3


class UsageError(PlannerError):
    """The command line asks for something that does not exist."""
