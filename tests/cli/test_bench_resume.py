"""`planner bench --resume`: what was measured stays, what was cut off is sent again, and nothing is forgotten."""

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Done, planner
from cut_off import cut_off, points_of, resume, run_json, settled, went_well
from known_server import KnownServer

from planner.store.runs import read_run

pytestmark = pytest.mark.slow

LENGTHS = ("--input-tokens", "lognormal:p50=60,p95=120", "--output-tokens", "lognormal:p50=3,p95=6")
LOADS = ("--sweep", "--concurrency", "2", "--rate", "25,40", "--requests", "30", "--seed", "7")


def edit(folder: Path, **changes: object) -> None:
    (folder / "run" / "run.json").write_text(json.dumps(run_json(folder) | changes))


def asked(folder: Path) -> list[list[tuple[int, int, int]]]:
    """What each point asked for, in the order of its schedule."""
    points = read_run(folder / "run").requests
    return [[(each.index, each.asked_input_tokens, each.asked_output_tokens) for each in point] for point in points]


def ordered(points: list[list[tuple[int, int, int]]]) -> list[list[tuple[int, int, int]]]:
    return [sorted(point) for point in points]


def cut_in_second_point(folder: Path, server: KnownServer, how: signal.Signals) -> None:
    before = len(server.log)
    arguments = ["--url", server.url, *LENGTHS, *LOADS, "--out", "run"]
    code, said = cut_off(folder, arguments, lambda: len(server.log) >= before + 40, how)
    assert code == (130 if how == signal.SIGINT else -how), said


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    """A folder with a run of one point, which a server that is gone answered."""
    with KnownServer() as server:
        went_well(planner(tmp_path, "bench", "--url", server.url, "--rate", "50", "--requests", "9", "--out", "run"))
    return tmp_path


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_points_that_are_done_are_not_sent_again_and_all_that_was_sent_is_counted(
    tmp_path: Path, how: signal.Signals
) -> None:
    with KnownServer(first_s=0.1) as server:
        cut_in_second_point(tmp_path, server, how)
        before = settled(server)
        first, answers = points_of(tmp_path / "run")[0], (tmp_path / "run" / "requests-000.jsonl").read_bytes()
        cut_answers = (tmp_path / "run" / "requests-001.jsonl").read_bytes()
        status = run_json(tmp_path)["status"]
        done = resume(tmp_path)
        went_well(done)
        assert len(server.log) == before + 60, "the second point and the third, of 30 requests each"
        prompts = [entry.body["messages"][0]["content"][:60] for entry in server.log]
        assert len(set(prompts)) == len(prompts), "what was cut off is not sent again word by word, for prefix caches"

        whole = tmp_path / "whole"
        whole.mkdir()
        went_well(planner(whole, "bench", "--url", server.url, *LENGTHS, *LOADS, "--out", "run"))

    assert status == ("running" if how == signal.SIGKILL else "interrupted")
    run = run_json(tmp_path)
    assert run["status"] == "complete"
    assert [(point["metrics"]["concurrency"], point["metrics"]["requests"]["sent"]) for point in run["points"]] == [
        (2, 30),
        (None, 30),
        (None, 30),
    ]
    # Not a byte of what was done has changed.
    assert json.dumps(run["points"][0]) == json.dumps(first)
    assert (tmp_path / "run" / "requests-000.jsonl").read_bytes() == answers
    assert (tmp_path / "run" / "requests-001.cut-1.jsonl").read_bytes() == cut_answers
    # What was asked is what a run that nobody cut off asks.
    assert ordered(asked(tmp_path)) == ordered(asked(whole))
    for schedule in ("schedule-001.csv", "schedule-002.csv"):
        assert (tmp_path / "run" / schedule).read_bytes() == (whole / "run" / schedule).read_bytes()
    assert [point["key"] for point in run["points"]] == [point["key"] for point in run_json(whole)["points"]]
    assert len({point["key"] for point in run["points"]}) == 3
    # The server's own count; one that is killed may have counted what it had no time to send.
    told = run["requests_sent_in_all"]
    assert before + 60 <= told <= before + 60 + (2 if how == signal.SIGKILL else 0)
    (cut,) = run["cut_points"]
    assert (cut["requests_file"], cut["requests_sent"]) == ("requests-001.cut-1.jsonl", told - 90)
    assert cut["requests_sent"] >= len(cut_answers.splitlines())
    assert f"{told} requests were sent in all; {told - 90} of them were cut off" in done.stderr
    assert run_json(whole)["requests_sent_in_all"] == 90


def test_a_run_may_be_killed_as_often_as_one_likes(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        cut_in_second_point(tmp_path, server, signal.SIGKILL)
        # A line that the power cut in half, and what a killed write leaves behind.
        with (tmp_path / "run" / "requests-001.jsonl").open("a") as file:
            file.write('{"index": 2')
        (tmp_path / "run" / f".run.json.{os.getpid()}.part").write_text("{")
        first = settled(server)
        code, said = cut_off(tmp_path, ["--resume", "run"], lambda: len(server.log) >= first + 40, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        second = settled(server)
        went_well(resume(tmp_path))
        assert len(server.log) == second + 30, "the third point was cut off in its turn"
    run = run_json(tmp_path)
    assert [len(point) for point in asked(tmp_path)] == [30, 30, 30]
    assert [cut["requests_file"] for cut in run["cut_points"]] == [
        "requests-001.cut-1.jsonl",
        "requests-002.cut-1.jsonl",
    ]
    assert len(run["resumed_at"]) == 2
    assert len(server.log) <= run["requests_sent_in_all"] <= len(server.log) + 4
    assert run["requests_sent_in_all"] == 90 + sum(cut["requests_sent"] for cut in run["cut_points"])


def test_a_sweep_that_finds_its_loads_goes_on_with_those_that_it_would_have_found(tmp_path: Path) -> None:
    arguments = ["--sweep", "--input-tokens", "60", "--output-tokens", "8", "--duration-s", "1", "--out", "run"]
    with KnownServer(first_s=0.05, gap_s=0.005) as server:

        def is_time() -> bool:
            if len(points_of(tmp_path / "run")) < 8:
                return False
            cut = tmp_path / "run" / "requests-008.jsonl"
            return cut.exists() and cut.stat().st_size > 0

        limited = [*arguments, "--limits", "max_num_seqs=8"]
        code, said = cut_off(tmp_path, ["--url", server.url, *limited], is_time, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        settled(server)
        lines = (tmp_path / "run" / "requests-008.jsonl").read_bytes().count(b"\n")
        fitted = planner(tmp_path, "fit", "run", "--accelerator", "X", "-o", "profile.json")
        before = points_of(tmp_path / "run")
        went_well(resume(tmp_path))
    # What is complete is of use already, and what is not is told of.
    assert fitted.returncode == 0, fitted.stderr
    assert "run: was cut off after 8 load points; go on with planner bench --resume run" in fitted.stderr
    assert f"requests-008.jsonl: {lines} requests of the load point then under way, in no figure" in fitted.stderr
    assert len(json.loads((tmp_path / "profile.json").read_text())["points"]) == 8
    points = points_of(tmp_path / "run")
    assert points[:8] == before
    users = [point["metrics"]["concurrency"] for point in points if point["metrics"]["concurrency"]]
    # On a busy machine the client may not keep up, and then a load is measured again.
    assert list(dict.fromkeys(users)) == [1, 2, 4, 8, 16, 32]
    saturation = json.loads((tmp_path / "run" / "run.json").read_text())["sweep"]["saturation"]
    assert users.count(saturation["users"]) > 1
    best = saturation["requests_per_s"]
    rates = [point["metrics"]["offered_requests_per_s"] for point in points[len(users) :]]
    assert rates == [float(f"{share * best:.3g}") for share in (0.25, 0.5, 0.75, 0.9)]


def test_a_sweep_whose_time_was_over_goes_on_when_it_is_given_more(tmp_path: Path) -> None:
    loads = ("--input-tokens", "60", "--output-tokens", "8", "--limits", "max_num_seqs=1")
    with KnownServer(first_s=0.05) as server:
        asked = ("bench", "--url", server.url, *loads, "--sweep", "--time-budget-s", "7", "--out", "run")
        went_well(planner(tmp_path, *asked, "--duration-s", "1.5"))
        before, spent_s = points_of(tmp_path / "run"), run_json(tmp_path)["sweep"]["spent_s"]
        assert not run_json(tmp_path)["sweep"]["is_complete"]
        sent = len(server.log)
        same = planner(tmp_path, "bench", "--resume", "run")
        less = planner(tmp_path, "bench", "--resume", "run", "--time-budget-s", f"{spent_s / 2:g}")
        assert len(server.log) == sent, "neither sends anything"
        went_well(planner(tmp_path, "bench", "--resume", "run", "--time-budget-s", "60"))
    assert "--resume RUN --time-budget-s SECONDS gives it more" in same.stdout
    assert "nothing to do, the time of the sweep is over" in same.stderr
    assert less.returncode == 2
    assert "must be more than the" in less.stderr
    after, run = points_of(tmp_path / "run"), run_json(tmp_path)
    whole = [point for point in before if not point["is_cut"]]
    assert after[: len(whole)] == whole
    assert len(after) > len(before)
    assert run["sweep"]["is_complete"]
    assert spent_s < run["sweep"]["spent_s"] < 60
    assert run["command"]["time_budget_s"] == 60
    assert {point["metrics"]["concurrency"] for point in after} == {1, 2, 4, None}


def test_the_time_of_a_sweep_that_is_killed_again_and_again_adds_up(tmp_path: Path) -> None:
    loads = ["--input-tokens", "60", "--output-tokens", "8", "--sweep", "--duration-s", "1", "--out", "run"]
    with KnownServer(first_s=0.05) as server:

        def has(points: int) -> Callable[[], bool]:
            return lambda: len(points_of(tmp_path / "run")) >= points

        cut_off(tmp_path, ["--url", server.url, *loads], has(2), signal.SIGKILL)
        first_s = run_json(tmp_path)["sweep"]["spent_s"]
        cut_off(tmp_path, ["--resume", "run"], has(4), signal.SIGKILL)
        both_s = run_json(tmp_path)["sweep"]["spent_s"]
        less = resume(tmp_path, "--time-budget-s", f"{(first_s + both_s) / 2:g}")
    assert first_s >= 2 * 1, "two loads of a second"
    assert both_s >= first_s + 2 * 1
    assert less.returncode == 2
    assert f"must be more than the {both_s:.0f} s that the sweep has taken" in less.stderr


def test_a_load_that_was_cut_off_with_answers_under_way_is_in_no_fit(tmp_path: Path) -> None:
    with KnownServer(first_s=3) as server:
        loads = ("--input-tokens", "60", "--output-tokens", "8", "--duration-s", "1", "--warmup-s", "0")
        cut = ("--sweep", "--time-budget-s", "2", *loads, "--out", "run")
        went_well(planner(tmp_path, "bench", "--url", server.url, *cut))
    (point,) = points_of(tmp_path / "run")
    fitted = planner(tmp_path, "fit", "run", "-o", "profile.json")
    assert point["is_cut"]
    assert point["metrics"]["requests"]["cancelled"] == 1
    assert point["metrics"]["warnings"][0].startswith("the time of the sweep was over")
    assert fitted.returncode == 2
    assert "1 user: not used, since it was cut off before its end" in fitted.stderr


def test_time_is_for_sweeps_that_find_their_loads(complete: Path) -> None:
    done = planner(complete, "bench", "--resume", "run", "--time-budget-s", "60")
    assert done.returncode == 2
    assert "--time-budget-s: only with a run whose sweep finds its loads itself" in done.stderr


def test_a_run_without_a_point_is_no_measurement_but_can_be_gone_on_with(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        arguments = ["--url", server.url, "--rate", "20", "--requests", "20", "--out", "run"]
        code, said = cut_off(tmp_path, arguments, lambda: len(server.log) >= 5, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        fitted = planner(tmp_path, "fit", "run", "-o", "profile.json")
        went_well(resume(tmp_path, "--json"))
    assert fitted.returncode == 2
    assert "holds no load point that was measured to its end" in fitted.stderr
    assert [len(point) for point in asked(tmp_path)] == [20]


def test_complete_run_has_nothing_to_go_on_with(complete: Path) -> None:
    before = {path: path.read_bytes() for path in (complete / "run").iterdir()}
    done = resume(complete, "--json")  # the server is gone, and nobody asks for it
    went_well(done)
    assert "run: nothing to do, every load is measured" in done.stderr
    assert json.loads(done.stdout)["requests"] == {"sent": 9, "ok": 9, "failed": 0, "cancelled": 0}
    assert {path: path.read_bytes() for path in (complete / "run").iterdir()} == before


def test_what_cannot_be_gone_on_with_is_told(complete: Path) -> None:
    (complete / "other").mkdir()
    foreign = planner(complete, "bench", "--resume", "other")
    (complete / "other" / "run.json").write_text('{"schema": "somebody.else/1"}')
    another = planner(complete, "bench", "--resume", "other")
    gone = planner(complete, "bench", "--resume", "gone")
    kept = run_json(complete)["command"]
    edit(complete, status="running", command=None)
    old = resume(complete)
    edit(complete, command=kept | {"warp": 9, "shields": 1})
    newer = resume(complete)
    edit(complete, command=kept | {"seed": "x", "sweep": 1})
    wrong = resume(complete)
    edit(complete, command=kept)
    (complete / "run" / "requests-000.jsonl").rename(complete / "hidden")
    lost = resume(complete)
    assert all(done.returncode == 2 for done in (foreign, another, gone, old, newer, wrong, lost))
    assert "other: is no run to go on with: there is no run.json" in foreign.stderr
    assert "schema" in another.stderr
    assert "gone: is no run to go on with" in gone.stderr
    assert "command: is missing: the run does not say what was asked" in old.stderr
    assert [line.split(": ")[1] for line in newer.stderr.splitlines()] == ["command.shields", "command.warp"]
    assert [line.split(": ")[1] for line in wrong.stderr.splitlines()] == ["command.seed", "command.sweep"]
    assert "requests-000.jsonl: is not there, and run.json names it" in lost.stderr


def test_other_options_are_refused_beside_it_even_where_they_say_the_default(complete: Path) -> None:
    done = resume(complete, "--seed", "0", "--rate", "5", "--out", "x", "--", "--max-num-seqs", "8")
    assert done.returncode == 2
    told = "--out, --rate, --seed, arguments after --: not with --resume: the run asks again what it asked"
    assert done.stderr.startswith(told)


def test_another_server_is_refused_with_what_differs(complete: Path) -> None:
    edit(complete, status="running", points=[])
    (complete / "run" / "requests-000.jsonl").unlink()
    before = run_json(complete)
    with KnownServer() as server:
        server.pages["/v1/models"] = (200, {"data": [{"id": "m2", "owned_by": "vllm", "max_model_len": 4096}]})
        model = resume(complete, "--url", server.url)
        server.pages["/v1/models"] = (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2048}]})
        server.pages["/version"] = (200, {"version": "0.33.0"})
        version = resume(complete, "--url", server.url)
        assert server.log == []
    assert model.returncode == version.returncode == 2
    assert "--model m: " in model.stderr
    assert "does not offer it; it offers: m2" in model.stderr
    assert version.stderr.splitlines()[:2] == [
        "--resume run: engine version was 0.32.0, and is 0.33.0 now",
        "--resume run: max_model_len was 4096, and is 2048 now",
    ]
    assert run_json(complete) == before


def test_trace_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    rows = ["timestamp,input_tokens,output_tokens", *(f"{number / 20:.2f},40,3" for number in range(40))]
    trace = tmp_path / "trace.csv"
    trace.write_text("\n".join(rows) + "\n")
    with KnownServer() as server:
        arguments = ["--url", server.url, "--trace", "trace.csv", "--out", "run"]
        code, said = cut_off(tmp_path, arguments, lambda: len(server.log) >= 10, signal.SIGKILL)
        assert code == -signal.SIGKILL, said
        before = settled(server)
        trace.write_text("\n".join(rows).replace("0.25,40,3", "0.25,41,3") + "\n")
        changed = resume(tmp_path)
        assert len(server.log) == before
        trace.write_text("\n".join(rows) + "\n")
        went_well(resume(tmp_path))
    assert changed.returncode == 2
    assert re.search(
        r"is not what was sent in run/requests-000\.jsonl: the trace or the workload, .* is another", changed.stderr
    )
    assert [len(point) for point in asked(tmp_path)] == [40]


def test_run_that_is_being_measured_is_left_alone(tmp_path: Path) -> None:
    with KnownServer(first_s=0.1) as server:
        told: list[Done] = []

        def is_time() -> bool:
            if len(server.log) < 10:
                return False
            told.append(resume(tmp_path))
            told.append(planner(tmp_path, "fit", "run", "-o", "profile.json"))
            return True

        arguments = ["--url", server.url, "--rate", "20", "--duration-s", "600", "--out", "run"]
        code, said = cut_off(tmp_path, arguments, is_time, signal.SIGINT)
    assert code == 130, said
    assert [done.returncode for done in told] == [2, 2]
    assert told[0].stderr == "--resume run: is being measured by another process\n"
    assert "run: is still being measured" in told[1].stderr
    assert not list((tmp_path / "run").glob("*.cut-*"))


def test_point_that_was_given_up_is_measured_again(tmp_path: Path) -> None:
    with KnownServer("http_500") as server:
        arguments = ("--url", server.url, "--concurrency", "1", "--requests", "60", "--out", "run")
        assert planner(tmp_path, "bench", *arguments).returncode == 4
        assert run_json(tmp_path)["status"] == "failed"
        given_up = len(server.log)
        server.modes = ("ok",)
        went_well(resume(tmp_path))
        assert (given_up, len(server.log)) == (50, 110)
    run = run_json(tmp_path)
    assert (run["status"], run["requests_sent_in_all"]) == ("complete", 110)
    assert run["points"][0]["metrics"]["requests"] == {"sent": 60, "ok": 60, "failed": 0, "cancelled": 0}


def test_name_that_is_no_text_leaves_a_run_that_cannot_be_gone_on_with(tmp_path: Path) -> None:
    trace = os.fsdecode(b"trace\xff.csv")
    (tmp_path / trace).write_text("timestamp,input_tokens,output_tokens\n0,40,3\n0.1,40,3\n")
    with KnownServer() as server:
        went_well(planner(tmp_path, "bench", "--url", server.url, "--trace", trace, "--out", "run"))
    assert run_json(tmp_path)["command"] is None
    assert resume(tmp_path).returncode == 2
