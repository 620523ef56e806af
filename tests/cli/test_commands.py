"""The command line as its users call it: output, files, exit codes."""

import json
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import jsonschema
import pytest
from commands import planner

from planner.workflows.kinds import KINDS

SCENARIO = """schema: planner.scenario/1
name: a
as_of: 2026-11-24
currency: USD
horizon_months: 12
traffic: {requests_per_month: 1000000, input_tokens: 1000, output_tokens: 100}
hosting:
  - {name: h, tenure: on_demand, usd_per_gpu_hour: 2.0, capacity: {requests_per_s: 5}}
api:
  - {name: x, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.yaml").write_text(SCENARIO)
    return tmp_path


def test_plan_writes_its_file_and_tells_the_verdict(folder: Path) -> None:
    done = planner(folder, "plan", "s.yaml")
    assert done.returncode == 0, done.stderr
    plan = json.loads((folder / "s.plan.json").read_text())
    assert plan["verdict"]["choice"] == "api"
    assert "API. Pay by the token: x." in done.stdout
    assert done.stderr == "wrote s.plan.json\n"


def test_plan_json_prints_one_document_and_writes_only_where_told(folder: Path) -> None:
    done = planner(folder, "plan", "s.yaml", "--json")
    assert sorted(path.name for path in folder.iterdir()) == ["s.yaml"]
    told = planner(folder, "plan", "s.yaml", "--json", "--quiet", "-o", "p.json")
    assert told.stderr == ""
    assert done.stdout == told.stdout == (folder / "p.json").read_text(), "the same input gives the same bytes"
    schema = json.loads(planner(folder, "schema", "plan").stdout)
    jsonschema.validate(json.loads(done.stdout), schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(("arguments", "start"), [((), "<!doctype html>"), (("--format", "md"), "# Host or API?")])
def test_report_of_a_scenario_and_of_its_plan_are_the_same(
    folder: Path, arguments: tuple[str, ...], start: str
) -> None:
    planner(folder, "plan", "s.yaml", "--quiet")
    suffix = "md" if arguments else "html"
    assert planner(folder, "report", "s.yaml", *arguments).returncode == 0
    first = (folder / f"s.report.{suffix}").read_bytes()
    done = planner(folder, "report", "s.plan.json", *arguments, "--json")
    assert json.loads(done.stdout) == {"report": f"s.report.{suffix}", "format": suffix, "choice": "api"}
    assert (folder / f"s.report.{suffix}").read_bytes() == first
    assert first.decode().lower().startswith(start.lower())


def test_three_mistakes_are_listed_with_line_and_column(folder: Path) -> None:
    bad = SCENARIO.replace("1000000", "-1").replace("USD", "dollars").replace("tenure", "tenur")
    (folder / "s.yaml").write_text(bad)
    for command in (["plan", "s.yaml"], ["report", "s.yaml"], ["schema", "scenario", "--check", "s.yaml"]):
        done = planner(folder, *command)
        assert done.returncode == 2
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert [line.split(" ")[0] for line in lines] == ["s.yaml:4:1:", "s.yaml:6:11:", "s.yaml:8:5:", "s.yaml:8:15:"]
        assert "nearest known: tenure" in lines[3]
        assert "hosting[0].tenure: is missing" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("plan", "gone.yaml"), 2, "gone.yaml: no such file"),
        (("plan", "."), 2, "is a folder"),
        (("plan",), 2, "Missing argument 'SCENARIO'"),
        (("plan", "s.yaml", "--nonsense"), 2, "No such option: --nonsense"),
        (("plan", "s.yaml", "-o", "gone/p.json"), 3, "gone/p.json: cannot be written: No such file or directory"),
        (("report", "s.yaml", "--format", "pdf"), 2, "--format pdf: not in this version; allowed: html, md"),
        (("schema", "nonsense"), 2, "must be one of scenario, plan, profile, prices, run, workload; given 'nonsense'"),
        (("nonsense",), 2, "No such command 'nonsense'"),
        (("watch",), 2, "No such command 'watch'"),
    ],
)
def test_failures_say_what_is_wrong_without_a_traceback(
    folder: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = planner(folder, *arguments)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_an_interrupt_ends_at_once_and_writes_nothing(folder: Path) -> None:
    # Some minutes' work, if it were not interrupted: forty-eight hybrids over twenty years.
    hosting = "".join(
        f"  - {{name: h{n}, tenure: purchase, purchase_usd_per_replica: 20000, capacity: {{requests_per_s: 5}}}}\n"
        for n in range(12)
    )
    price = "{input_usd_per_mtok: 1, output_usd_per_mtok: 2}"
    api = "".join(f"  - {{name: x{n}, price: {price}}}\n" for n in range(4))
    head = SCENARIO.replace("horizon_months: 12", "horizon_months: 240").partition("hosting:\n")[0]
    (folder / "s.yaml").write_text(f"{head}hosting:\n{hosting}api:\n{api}")
    # Where the tests run in the background, children are born deaf to interrupts.
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{hearing}; from planner.cli.main import main; main()", "plan", "s.yaml"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr.readline().startswith("planning ")
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert (running.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["s.yaml"]


def test_streams_that_are_full_or_closed_are_no_fault_of_ours(folder: Path) -> None:
    def run(command: str) -> subprocess.CompletedProcess[str]:
        shell = ["sh", "-c", command.replace("planner", f"{sys.executable} -m planner")]
        return subprocess.run(shell, cwd=folder, capture_output=True, text=True, check=False)

    full = run("planner schema prices > /dev/full")
    assert (full.returncode, full.stderr) == (3, "standard output: cannot be written: No space left on device\n")
    assert run("planner plan gone.yaml 2> /dev/full").returncode == 2
    assert run("planner plan s.yaml 2>&-").returncode == 0, "the line that tells what was written is not missed"
    assert json.loads((folder / "s.plan.json").read_text())["verdict"]["choice"] == "api"


def test_names_that_are_no_text_are_told_all_the_same(folder: Path) -> None:
    name = b"s\xff.yaml".decode("utf-8", "surrogateescape")
    done = planner(folder, "plan", name)
    assert (done.returncode, done.stderr) == (2, "s\\xff.yaml: no such file\n")
    (folder / name).write_text(SCENARIO)
    assert json.loads(planner(folder, "report", name, "--json").stdout)["report"] == "s\\xff.report.html"
    plan = planner(folder, "plan", name, "--json").stdout
    assert any(row["source"].startswith("s\\xff.yaml:") for row in json.loads(plan)["assumptions"])


def test_nothing_is_written_over_its_own_source(folder: Path) -> None:
    for command in ("plan", "report"):
        done = planner(folder, command, "s.yaml", "-o", "s.yaml")
        assert (done.returncode, done.stderr) == (2, "-o s.yaml: is the file that it would be made from\n")
    assert (folder / "s.yaml").read_text() == SCENARIO


def test_a_file_cannot_forge_lines_of_ours(folder: Path) -> None:
    (folder / "s.yaml").write_text(SCENARIO + '"x\\nfake.yaml:1:1: ok\\e[2K": 1\n')
    done = planner(folder, "plan", "s.yaml")
    assert done.stderr.splitlines() == [
        "s.yaml:11:1: x\\nfake.yaml:1:1: ok\\x1b[2K: unknown key; allowed: "
        "api, as_of, currency, current, decision_rule, discount_rate_fraction_per_year, horizon_months, hosting, "
        "materiality_fraction, name and 4 more"
    ]


def test_the_version_is_told(folder: Path) -> None:
    assert planner(folder, "--version").stdout == f"planner {version('host-or-api')}\n"
    assert planner(folder).returncode == 2


@pytest.mark.parametrize("kind", list(KINDS))
def test_schemas_are_valid_and_refuse_unknown_keys(folder: Path, kind: str) -> None:
    schema = json.loads(planner(folder, "schema", kind).stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    assert schema["properties"]["schema"]["const"] == f"planner.{kind}/1"


def test_every_command_is_documented_with_an_example(repository: Path) -> None:
    readme = (repository / "README.md").read_text()
    for command in ("emulate", "estimate", "plan", "report", "schema"):
        assert f"`planner {command} " in readme
        assert f"Example: planner {command} " in planner(repository, command, "--help").stdout


def test_a_file_check_says_so_when_all_is_well(folder: Path) -> None:
    assert planner(folder, "schema", "scenario", "--check", "s.yaml").stdout == "s.yaml: no mistakes\n"
