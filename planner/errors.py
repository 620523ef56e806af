"""What can go wrong, each with the exit code that the command line gives it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake: where it is, and what would be allowed there."""

    file: str
    """The file as the user named it."""
    line: int
    """Line, counted from 1; 0 where the mistake has no line (a file that is missing, say)."""
    column: int
    """Column, counted from 1; 0 where the mistake has no line."""
    field: str
    """Path of the field, as in `traffic.input_tokens.mean`; empty for the whole file."""
    message: str
    """What is wrong and what is allowed."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


class PlannerError(Exception):
    """A failure that is the user's to mend: it ends without a traceback."""

    exit_code = 2


class InputError(PlannerError):
    """One value that cannot be computed with; raised by the numeric core."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class InputFileError(PlannerError):
    """Every mistake found in the user's files, all at once, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class EnvironmentLackingError(PlannerError):
    """Something outside the input is lacking: a server, a package, room on the disk."""

    exit_code = 3


class UsageError(PlannerError):
    """The command line asks for something that does not exist."""
