"""The code's own rules: style, types, layers, size of files, and nothing heavy behind `--help`."""

import subprocess
import sys
from pathlib import Path

import pytest

MOST_LINES = 400
MODULES = ("ruff check planner tests benchmarks", "ruff format --check planner tests benchmarks", "mypy")


def run(repository: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", MODULES)
def test_tool_finds_nothing(repository: Path, command: str) -> None:
    done = run(repository, sys.executable, "-m", *command.split())
    assert done.returncode == 0, done.stdout + done.stderr


def test_data_flows_one_way(repository: Path) -> None:
    done = run(repository, sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Contracts: 4 kept, 0 broken." in done.stdout


def test_no_file_is_too_long(repository: Path) -> None:
    files = [path for folder in ("planner", "tests", "benchmarks") for path in (repository / folder).rglob("*.py")]
    assert len(files) > 40
    too_long = {str(path): lines for path in files if (lines := len(path.read_text().splitlines())) > MOST_LINES}
    assert not too_long


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import planner.cli.main", ("numpy", "scipy", "pandas", "pydantic", "ruamel", "jinja2", "genai_prices")),
        (
            "from planner.workflows.plan import make_plan; from pathlib import Path;"
            "make_plan(Path('scenarios/steady-high-volume.yaml'))",
            ("planner.core.simulate", "numba", "jinja2", "vl_convert", "genai_prices", "pandas"),
        ),
    ],
    ids=["--help", "plan by stated capacity"],
)
def test_nothing_is_imported_that_is_not_needed(repository: Path, code: str, unwanted: tuple[str, ...]) -> None:
    done = run(repository, sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)")
    assert done.returncode == 0, done.stderr
    assert not set(unwanted) & set(done.stdout.split())
