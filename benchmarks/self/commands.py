"""How long whole commands take, against the limits they are held to: `python benchmarks/self/commands.py`.

Machines differ and are shared, so each command is also told as a multiple of an interpreter that imports
numpy and scipy's optimiser and stops, run in turn with it.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SCENARIO = REPOSITORY / "scenarios" / "steady-high-volume.yaml"
PEER = [sys.executable, "-c", "import numpy, scipy.optimize"]
ROUNDS = 9

COMMANDS: dict[str, tuple[list[str], float]] = {
    "planner --help": (["--help"], 0.5),
    "planner plan steady-high-volume.yaml": (["plan", str(SCENARIO), "--quiet"], 5.0),
    "planner report steady-high-volume.yaml": (["report", str(SCENARIO), "--quiet"], 5.0),
    "planner report --format md": (["report", str(SCENARIO), "--quiet", "--format", "md"], 5.0),
}
"""Arguments, and the most that the command may take [s]."""


def wall_s(command: list[str], folder: str) -> float:
    """Time from start to end of a command [s]."""
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603 - our own commands
    return time.perf_counter() - start


def main() -> None:
    """Prints a table in Markdown: the median, its share of the limit, its multiple of the peer."""
    rows = ["| command | median [s] | of its limit | × peer |", "| --- | ---: | ---: | ---: |"]
    with tempfile.TemporaryDirectory() as folder:
        for name, (arguments, limit_s) in COMMANDS.items():
            command = [sys.executable, "-m", "planner", *arguments]
            wall_s(command, folder)  # writes the byte code
            pairs = [(wall_s(command, folder), wall_s(PEER, folder)) for _ in range(ROUNDS)]
            ours = statistics.median(ours for ours, _ in pairs)
            multiple = statistics.median(ours / peer for ours, peer in pairs)
            rows.append(f"| `{name}` | {ours:.2f} | {ours / limit_s:.0%} of {limit_s:g} s | {multiple:.1f} |")
    sys.stdout.write("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
