"""`planner estimate` as its users call it."""

import json
from pathlib import Path

import jsonschema
from commands import planner

CALL = ("estimate", "--model", "Qwen/Qwen3-8B", "--accelerator", "L40S")


def test_it_writes_a_profile_that_every_other_command_takes(tmp_path: Path) -> None:
    done = planner(tmp_path, *CALL, "-o", "p.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0] == "wrote p.json"
    assert "no ground for a decision" in done.stderr
    assert done.stdout.startswith("Qwen/Qwen3-8B on 1 × L40S, estimated (estimated, not measured)\n")
    assert "Not modelled:" in done.stdout
    assert planner(tmp_path, "schema", "profile", "--check", "p.json").returncode == 0


def test_json_is_the_file_and_fits_the_schema(tmp_path: Path) -> None:
    done = planner(tmp_path, *CALL, "-o", "p.json", "--json", "--quiet")
    assert done.stdout == (tmp_path / "p.json").read_text()
    assert done.stderr.count("\n") == 1, "the warning stays"
    jsonschema.validate(json.loads(done.stdout), json.loads(planner(tmp_path, "schema", "profile").stdout))
    again = planner(tmp_path, *CALL, "-o", "q.json", "--json", "--quiet")
    assert again.stdout == done.stdout


def test_mistakes_end_with_2_all_at_once_and_write_nothing(tmp_path: Path) -> None:
    done = planner(tmp_path, "estimate", "--model", "none", "--accelerator", "none", "--count", "0", "-o", "p.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["--count", "--accelerator", "--model"]
    assert not list(tmp_path.iterdir())
    missing = planner(tmp_path, "estimate", "--model", "gone/config.json", "--accelerator", "L4", "-o", "p.json")
    assert (missing.returncode, missing.stderr) == (2, "gone/config.json: no such file\n")


def test_a_configuration_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    for model in ("config.json", "."):
        done = planner(tmp_path, "estimate", "--model", model, "--accelerator", "L4", "-o", "config.json")
        assert (done.returncode, done.stderr.partition(":")[0]) == (2, "-o config.json")
    assert (tmp_path / "config.json").read_text() == "{}"
