"""`planner bench --workload FILE`: what arrives at a server is what the file says."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from known_server import FIXED_TOKENS, KnownServer, tokens_of

from planner.engines.emulator.process import emulating
from planner.store.runs import read_run

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


def test_conversation_holds_all_that_was_said_and_its_turns_come_one_after_the_other(tmp_path: Path) -> None:
    fields = {"input_tokens": 30, "output_tokens": 4, "conversation": {"turns": 3}}
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "12", **fields)
    by_length: dict[int, list[list[dict[str, Any]]]] = {}
    for body in asked:
        by_length.setdefault(len(body["messages"]), []).append(body["messages"])
    assert {length: len(found) for length, found in by_length.items()} == {1: 4, 3: 4, 5: 4}
    answer = {"role": "assistant", "content": "zäh☃ " * 4}
    for messages in by_length[5]:
        assert messages[:1] in by_length[1]
        assert messages[:3] in by_length[3]
        assert [message["role"] for message in messages] == ["user", "assistant", "user", "assistant", "user"]
        assert messages[1] == messages[3] == answer
    (kept,) = read_run(tmp_path / "run").requests
    assert sorted(entry.index for entry in kept) == list(range(12))
    assert {entry.asked_input_tokens for entry in kept} == {30}


def test_turn_that_failed_is_as_if_never_asked(tmp_path: Path) -> None:
    with KnownServer("ok", "http_500", "ok") as server:
        fields = {"input_tokens": 30, "output_tokens": 4, "conversation": {"turns": 3}}
        load = ("--concurrency", "1", "--requests", "3", "--max-error-fraction", "1")
        assert bench(tmp_path, server.url, written(tmp_path, **fields), *load).returncode in (0, 4)
        lengths = [len(served.body["messages"]) for served in server.log]
    assert lengths == [1, 3, 3]


def test_processes_share_conversations_and_not_their_turns(tmp_path: Path) -> None:
    fields = {"input_tokens": 30, "output_tokens": 4, "conversation": {"turns": 2}}
    asked = bodies(tmp_path, "--concurrency", "2", "--requests", "12", "--processes", "2", **fields)
    assert Counter(len(body["messages"]) for body in asked) == {1: 6, 3: 6}


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


def test_a_run_goes_on_with_its_workload_and_not_with_another(tmp_path: Path) -> None:
    workload = written(tmp_path, input_tokens=20, output_tokens=2)
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
        written(tmp_path, input_tokens=20, output_tokens=2, is_cache_busting=False)
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


def test_conversations_that_keep_fewer_users_busy_than_asked_say_so(tmp_path: Path) -> None:
    with KnownServer() as server:
        workload = written(tmp_path, input_tokens=30, output_tokens=2, conversation={"turns": 4})
        done = planner(
            *(tmp_path, "bench", "--url", server.url, "--workload", str(workload), "--out", "run"),
            *("--concurrency", "8", "--requests", "8"),
        )
    assert "8 requests keep only 2 of 8 users busy" in done.stderr


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
