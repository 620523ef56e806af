"""`planner bench --workload FILE`: what arrives at a server is what the file says."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Done, planner
from known_server import FIXED_TOKENS, KnownServer, tokens_of

from planner.engines.emulator.process import emulating
from planner.store.runs import read_run
from planner.workflows.doubts import doubts

WORKLOADS = Path(__file__).parents[2] / "benchmarks" / "workloads"
PROFILE = {
    "schema": "planner.profile/1",
    "name": "fast",
    "basis": "emulated",
    "model": {"id": "m"},
    "step_time_s": {"base": 0.0005, "per_prefill_token": 1e-7},
    "limits": {
        "max_num_seqs": 64,
        "max_num_batched_tokens": 65_536,
        "kv_cache_tokens": 2_000_000,
        "block_tokens": 16,
        "max_model_len": 32_768,
    },
}


def written(folder: Path, **fields: Any) -> Path:
    path = folder / "workload.json"
    path.write_text(json.dumps({"schema": "planner.workload/1", "name": "w", **fields}))
    return path


def bench(folder: Path, url: str, workload: Path, *arguments: str, out: str = "run") -> Done:
    return planner(folder, "bench", "--url", url, "--workload", str(workload), *arguments, "--out", out, "--quiet")


def bodies(folder: Path, *arguments: str, server: KnownServer | None = None, **fields: Any) -> list[dict[str, Any]]:
    """What a server got, in the order of the schedule, and the run is whole."""
    with server or KnownServer() as known:
        done = bench(folder, known.url, written(folder, **fields), *arguments)
        assert done.returncode in (0, 4), done.stderr
        asked = [served.body for served in known.log]
    (kept,) = read_run(folder / "run").requests
    assert len(kept) == len(asked)
    assert {entry.outcome for entry in kept} == {"ok"}
    return asked


def said(body: dict[str, Any]) -> str:
    text = body["messages"][-1]["content"]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("name", sorted(path.stem for path in WORKLOADS.glob("*.yaml") if "tests" not in path.stem))
def test_shipped_workload_runs_against_the_emulator(tmp_path: Path, name: str) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(PROFILE))
    with emulating(tmp_path / "profile.json", adapters=("support", "sales")) as url:
        load = ("--concurrency", "4", "--requests", "24", "--model", "m")
        done = bench(tmp_path, url, WORKLOADS / f"{name}.yaml", *load)
    assert done.returncode in (0, 4), done.stderr
    run, (kept,) = read_run(tmp_path / "run").run, read_run(tmp_path / "run").requests
    assert [entry.outcome for entry in kept] == ["ok"] * 24
    assert run.workload.file is not None
    if run.workload.file.conversation is None and run.workload.file.prompts is None:
        assert [entry.input_tokens for entry in kept] == [entry.asked_input_tokens for entry in kept]
    assert all(entry.output_tokens == entry.asked_output_tokens for entry in kept)
    assert not any("asked:" in told for point in run.points for told in point.metrics.warnings)
    (point,) = [each.metrics for each in run.points]
    assert [told for told in doubts(point, 0.0) if not told.startswith("the client was the bottleneck")] == [], (
        "a busy machine is the only reason for exit 4"
    )
    assert point.server is not None
    for check in (point.server.requests, point.server.prompt_tokens, point.server.output_tokens):
        assert check is not None
        assert check.is_equal


def test_prompts_share_prefixes_as_often_as_said_and_are_as_long_as_asked(tmp_path: Path) -> None:
    prefix = {"tokens": 40, "distinct": 3, "fraction": 0.75}
    fields = {"input_tokens": 100, "output_tokens": 2, "shared_prefix": prefix}
    asked = bodies(tmp_path, "--concurrency", "8", "--requests", "200", **fields)
    assert {FIXED_TOKENS + tokens_of(said(body)) for body in asked} == {100}
    beginnings = Counter(" ".join(said(body).split()[:12]) for body in asked)
    shared = {text: count for text, count in beginnings.items() if count > 1}
    assert len(shared) == 3
    # Of 200 with probability 0.75, 99.99 % of binomials lie between 125 and 173; a third of 150 between 30 and 74.
    assert 125 <= sum(shared.values()) <= 173
    assert all(30 <= count <= 74 for count in shared.values())
    assert len({said(body) for body in asked}) == 200


def test_text_is_another_one_in_every_run_unless_a_cache_is_wanted(tmp_path: Path) -> None:
    texts = []
    for number, is_cache_busting in enumerate((True, True, False, False)):
        folder = tmp_path / str(number)
        folder.mkdir()
        fields = {"input_tokens": 60, "output_tokens": 2, "is_cache_busting": is_cache_busting}
        texts.append([said(body) for body in bodies(folder, "--concurrency", "1", "--requests", "3", **fields)])
    first, second, third, fourth = texts
    assert not set(first) & set(second)
    assert third == fourth


@pytest.mark.parametrize("processes", ["1", "2"])
def test_conversation_holds_all_that_was_said_and_its_turns_come_one_after_the_other(
    tmp_path: Path, processes: str
) -> None:
    fields = {"input_tokens": 30, "output_tokens": 4, "conversation": {"turns": 3}}
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "30", "--processes", processes, **fields)
    told = [body["messages"] for body in asked]
    assert Counter(map(len, told)).keys() == {1, 3, 5}
    answer = {"role": "assistant", "content": "zäh☃ " * 4}
    for number, messages in enumerate(told):
        assert len(messages) == 1 or messages[:-2] in told[:number]
        assert all(message == answer for message in messages[1::2])
        assert {message["role"] for message in messages[::2]} == {"user"}
    (kept,) = read_run(tmp_path / "run").requests
    assert len({entry.index for entry in kept}) == 30
    assert {entry.asked_input_tokens for entry in kept} == {30}


def test_conversations_are_under_way_when_the_counting_begins(tmp_path: Path) -> None:
    server = KnownServer(first_s=0.02)
    fields = {"input_tokens": "lognormal:p50=30,p95=60", "output_tokens": 4, "conversation": {"turns": 4}}
    load = ("--concurrency", "8", "--requests", "64", "--warmup-s", "1.5")
    told = [body["messages"] for body in bodies(tmp_path, *load, server=server, **fields)]
    (kept,) = read_run(tmp_path / "run").requests
    counted = sorted((entry for entry in kept if not entry.is_warmup), key=lambda entry: entry.sent_s or 0.0)
    assert len(counted) == 64
    assert len({entry.index for entry in kept}) == len(kept) > 64, "warm-up and what counts are one sequence"
    first_turns = [entry.input_tokens == entry.asked_input_tokens for entry in counted]
    assert sum(first_turns[:8]) < 8, "not all begin a conversation then"
    begun = Counter(messages[0]["content"] for messages in told)
    unended = [content for content, count in begun.items() if count < 4]
    assert len(unended) <= 8 + 8, "the first of each user, and those under way at the end: none was dropped between"
    lines = (tmp_path / "run" / "schedule-000.csv").read_text().splitlines()[1:]
    rows = [tuple(map(int, line.split(",")[:2])) for line in lines]
    assert all(rows[entry.index] == (entry.asked_input_tokens, entry.asked_output_tokens) for entry in kept)


def test_conversations_that_the_context_does_not_hold_end_before_and_are_told(tmp_path: Path) -> None:
    limits = PROFILE["limits"] | {"max_model_len": 700}
    (tmp_path / "profile.json").write_text(json.dumps(PROFILE | {"limits": limits}))
    with emulating(tmp_path / "profile.json") as url:
        load = ("--concurrency", "1", "--requests", "80", "--model", "m")
        done = bench(tmp_path, url, WORKLOADS / "conversation.yaml", *load)
    assert done.returncode in (0, 4), done.stderr
    run, (kept,) = read_run(tmp_path / "run").run, read_run(tmp_path / "run").requests
    assert Counter(entry.outcome for entry in kept) == {"ok": 80}
    assert min(entry.asked_output_tokens or 0 for entry in kept) > 10, "none is shortened to nonsense"
    begins = [number for number, entry in enumerate(kept) if entry.input_tokens == entry.asked_input_tokens]
    lengths = [end - begin for begin, end in pairwise(begins)]
    early = [length for length in lengths[1:] if length < 6]  # the first has as many as were drawn
    (told,) = [told for told in run.points[0].metrics.warnings if "conversations" in told]
    assert " of 6 turns on average: the next one did not fit the server's max_model_len of 700; fewer turns" in told
    found = re.match(r"(\d+) of (\d+) conversations ended early, after ([\d.]+) of 6", told)
    assert found is not None
    assert int(found[1]) - len(early) in (0, 1), "the last may have ended as well"
    assert int(found[2]) - len(lengths) in (0, 1)
    assert float(found[3]) == pytest.approx(np.mean(early), abs=0.3)
    assert done.stderr.count("ended early") == 1


def test_template_around_each_answer_takes_room_in_the_context(tmp_path: Path) -> None:
    server = KnownServer()
    # Room for 0.98 · 1650 - 12 = 1605 tokens: eight turns have 1600, and with seven templates 1649.
    server.pages["/v1/models"] = (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 1650}]})
    fields = {"input_tokens": 100, "output_tokens": 100, "conversation": {"turns": 8}}
    asked = bodies(tmp_path, "--concurrency", "1", "--requests", "40", server=server, **fields)
    assert FIXED_TOKENS == 7
    assert max(len(body["messages"]) for body in asked) == 2 * 7 - 1
    (told,) = [told for told in read_run(tmp_path / "run").run.points[0].metrics.warnings if "early" in told]
    assert "ended early, after 7.0 of 8 turns on average" in told


def test_own_prompts_come_in_random_order_each_once_a_round_with_a_mark_before(tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": f"question {number}", "max_tokens": 3 + number}) for number in range(5)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines) + "\n")
    fields = {"prompts": "mine.jsonl", "output_tokens": 50}
    asked = bodies(tmp_path, "--concurrency", "1", "--requests", "10", **fields)
    questions = [said(body).splitlines()[-1] for body in asked]
    assert sorted(questions[:5]) == sorted(questions[5:]) == [f"question {number}" for number in range(5)]
    assert questions[:5] != sorted(questions[:5]) or questions[5:] != sorted(questions[5:])
    assert [body["max_tokens"] for body in asked] == [3 + int(question[-1]) for question in questions]
    assert len({said(body).splitlines()[0] for body in asked}) == 10
    assert not any("ignore_eos" in body for body in asked), "answers of one's own prompts end by themselves"


def test_models_are_asked_by_their_shares_and_each_request_says_which(tmp_path: Path) -> None:
    server = KnownServer()
    server.pages["/v1/models"] = (200, {"data": [{"id": name, "owned_by": "vllm"} for name in ("m", "a", "b")]})
    fields = {"input_tokens": 30, "output_tokens": 2, "models": {"a": 3, "b": 1}}
    load = ("--concurrency", "8", "--requests", "200", "--model", "m")
    asked = Counter(body["model"] for body in bodies(tmp_path, *load, server=server, **fields))
    assert asked.keys() == {"a", "b"}
    assert 125 <= asked["a"] <= 173, "as of a binomial, see above"
    (kept,) = read_run(tmp_path / "run").requests
    assert Counter(entry.asked_model for entry in kept) == asked


def test_parameters_go_into_every_request_and_let_answers_end(tmp_path: Path) -> None:
    parameters = {"response_format": {"type": "json_object"}, "temperature": 0.5}
    (body, *_) = bodies(
        tmp_path, "--concurrency", "1", "--requests", "2", input_tokens=30, output_tokens=2, parameters=parameters
    )
    assert {name: body[name] for name in parameters} == parameters
    assert "ignore_eos" not in body


def tools_tokens(body: dict[str, Any]) -> int:
    return tokens_of(json.dumps(body["tools"]))


TOOL = {"type": "function", "function": {"name": "f", "description": "does this and that"}}


def test_prompts_with_tools_are_as_long_as_asked(tmp_path: Path) -> None:
    fields = {"input_tokens": 100, "output_tokens": 2, "parameters": {"tools": [TOOL]}}
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "20", **fields)
    assert {FIXED_TOKENS + tools_tokens(body) + tokens_of(said(body)) for body in asked} == {100}
    assert tools_tokens(asked[0]) > 20
    told = read_run(tmp_path / "run").run.points[0].metrics.warnings
    assert not any("prompts" in each for each in told)


def test_tools_count_once_in_a_conversation(tmp_path: Path) -> None:
    more = {"conversation": {"turns": 3}, "parameters": {"tools": [TOOL]}}
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "24", input_tokens=100, output_tokens=2, **more)
    by_turn = {len(body["messages"]) // 2: FIXED_TOKENS + tokens_of(said(body)) for body in asked}
    assert by_turn == {0: 100 - tools_tokens(asked[0]), 1: 100, 2: 100}


def test_prompts_shorter_than_their_tools_are_told(tmp_path: Path) -> None:
    fields = {"input_tokens": 20, "output_tokens": 2, "parameters": {"tools": [TOOL]}}
    (body, *_) = bodies(tmp_path, "--concurrency", "2", "--requests", "8", **fields)
    (told,) = [each for each in read_run(tmp_path / "run").run.warnings if "parameters such as tools" in each]
    assert f"parameters such as tools have {FIXED_TOKENS + tools_tokens(body)} already: prompts are longer" in told


def test_lengths_of_a_trace_stay_together(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("timestamp,input_tokens,output_tokens\n0,30,3\n5,60,6\n9,90,9\n")
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "30", lengths_of="log.csv")
    found = Counter((FIXED_TOKENS + tokens_of(said(body)), body["max_tokens"]) for body in asked)
    assert found == {(30, 3): 10, (60, 6): 10, (90, 9): 10}


def test_workload_of_completions_sends_them(tmp_path: Path) -> None:
    with KnownServer() as server:
        workload = written(tmp_path, endpoint="completions", input_tokens=20, output_tokens=2)
        assert bench(tmp_path, server.url, workload, "--concurrency", "1", "--requests", "2").returncode in (0, 4)
        assert {served.path for served in server.log} == {"/v1/completions"}
        assert {tokens_of(served.body["prompt"]) for served in server.log} == {20}


@pytest.mark.parametrize("more", [{}, {"conversation": {"turns": 3}}], ids=["alone", "conversations"])
def test_a_run_goes_on_with_its_workload_and_not_with_another(tmp_path: Path, more: dict[str, Any]) -> None:
    workload = written(tmp_path, input_tokens=20, output_tokens=2, **more)
    with KnownServer() as server:
        load = ("--sweep", "--concurrency", "1,2", "--requests", "4")
        assert bench(tmp_path, server.url, workload, *load).returncode in (0, 4)
        data = json.loads((tmp_path / "run" / "run.json").read_text())
        whole = json.dumps(data)
        data["points"], data["status"] = data["points"][:1], "interrupted"
        (tmp_path / "run" / "run.json").write_text(json.dumps(data))
        (tmp_path / "run" / "requests-001.jsonl").unlink()
        (tmp_path / "run" / "schedule-001.csv").unlink()
        done = planner(tmp_path, "bench", "--resume", "run", "--quiet")
        assert done.returncode in (0, 4), done.stderr
        resumed = json.loads((tmp_path / "run" / "run.json").read_text())
        assert [point["key"] for point in resumed["points"]] == [point["key"] for point in json.loads(whole)["points"]]
        written(tmp_path, input_tokens=20, output_tokens=2, is_cache_busting=False, **more)
        (tmp_path / "run" / "run.json").write_text(json.dumps(data))
        assert "is not what was sent" in planner(tmp_path, "bench", "--resume", "run", "--quiet").stderr


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"output_tokens": 5}, "input_tokens: one of input_tokens, lengths_of and prompts; given: none"),
        ({"input_tokens": 5}, "output_tokens: is missing"),
        ({"input_tokens": "uniform:1,2", "output_tokens": 5}, "input_tokens: must be a whole number of tokens"),
        ({"input_tokens": 0, "output_tokens": 5}, "input_tokens: "),
        ({"input_tokens": 9, "output_tokens": 5, "shared_prefix": {"tokens": 9}}, "must be less than input_tokens"),
        ({"input_tokens": 9, "output_tokens": 5, "parameters": {"model": "x"}}, "is set by the load test itself"),
        ({"input_tokens": 9, "output_tokens": 5, "parameters": {"stop": "\ud800"}}, "halves of characters"),
        ({"input_tokens": 9, "output_tokens": 5, "turns": 4}, "turns"),
        ({"prompts": "none.jsonl", "output_tokens": 5}, "no such file"),
        ({"lengths_of": "none.csv"}, "no such file"),
        ({"prompts": "none.jsonl", "output_tokens": 5, "conversation": {"turns": 2}}, "not with prompts"),
        ({"input_tokens": 9, "output_tokens": 5, "conversation": {"turns": 1}}, "conversation.turns"),
    ],
)
def test_mistakes_of_a_workload_are_told_with_their_field(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    done = bench(tmp_path, "http://127.0.0.1:9", written(tmp_path, **fields), "--concurrency", "1")
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_options_that_do_not_go_with_a_workload_are_told_at_once(tmp_path: Path) -> None:
    workload = written(tmp_path, endpoint="chat", input_tokens=9, output_tokens=5, conversation={"turns": 2})
    done = bench(tmp_path, "http://127.0.0.1:9", workload, "--rate", "5", "--endpoint", "completions")
    assert done.returncode == 2
    assert "--endpoint: the workload is for chat" in done.stderr
    assert "needs users that wait" in done.stderr
    done = bench(tmp_path, "http://127.0.0.1:9", workload, "--concurrency", "5", "--input-tokens", "7")
    assert done.returncode == 2
    assert "--input-tokens: not with --workload" in done.stderr
    tools = written(tmp_path, input_tokens=9, output_tokens=5, parameters={"tools": []})
    done = bench(tmp_path, "http://127.0.0.1:9", tools, "--concurrency", "5", "--endpoint", "completions")
    assert "tools need --endpoint chat" in done.stderr


def test_loads_too_short_for_conversations_say_so(tmp_path: Path) -> None:
    with KnownServer() as server:
        workload = written(tmp_path, input_tokens=30, output_tokens=2, conversation={"turns": 4})
        done = planner(
            *(tmp_path, "bench", "--url", server.url, "--workload", str(workload), "--out", "run"),
            *("--concurrency", "8", "--requests", "8"),
        )
    assert "8 requests are less than a conversation of 4 turns for each of 8 users" in done.stderr


def test_models_that_a_server_does_not_offer_are_told(tmp_path: Path) -> None:
    with KnownServer() as server:
        workload = written(tmp_path, input_tokens=30, output_tokens=2, models={"a": 1, "m": 1})
        done = bench(tmp_path, server.url, workload, "--concurrency", "1", "--requests", "2")
    assert done.returncode == 2
    assert "models: the server does not offer a" in done.stderr


def test_conversations_longer_than_the_context_are_told(tmp_path: Path) -> None:
    with KnownServer() as server:  # 4096 tokens
        workload = written(tmp_path, input_tokens=400, output_tokens=200, conversation={"turns": 8})
        done = bench(tmp_path, server.url, workload, "--concurrency", "1", "--requests", "8")
    assert done.returncode == 2
    assert "4800 tokens together" in done.stderr
