"""`prompts:` of a workload: lengths as the server counts them, and what cannot be sent is told before anything is."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from commands import Done, planner
from known_server import FIXED_TOKENS, KnownServer, tokens_of

from planner.engines.openai_http import OpenAIClient
from planner.store.runs import read_run

LOAD = ("--concurrency", "2", "--requests", "30")


def bench(folder: Path, server: KnownServer, *load: str, **fields: Any) -> Done:
    (folder / "w.json").write_text(json.dumps({"schema": "planner.workload/1", "name": "w", **fields}))
    return planner(
        *(folder, "bench", "--url", server.url, "--workload", "w.json"), *(load or LOAD), "--out", "run", "--quiet"
    )


def write_prompts(folder: Path, *lines: dict[str, Any]) -> None:
    (folder / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def warnings(folder: Path) -> list[str]:
    return read_run(folder / "run").run.points[0].metrics.warnings


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "c", "content": "done"}


def test_asked_lengths_are_what_the_server_counts_with_all_that_stands_before(tmp_path: Path) -> None:
    system = {"role": "system", "content": "be brief"}
    write_prompts(
        tmp_path,
        {"messages": [system, {"role": "user", "content": "what is it"}]},
        {"prompt": "a much longer question than the other one"},
        {"messages": [{"role": "user", "content": "call it"}, CALLED, ANSWERED]},
    )
    prefix = {"tokens": 30, "distinct": 2, "fraction": 0.5}
    with KnownServer() as server:
        server.tokens_of = lambda text: len(text.split())
        done = bench(tmp_path, server, prompts="mine.jsonl", output_tokens=2, shared_prefix=prefix)
        assert done.returncode in (0, 4), done.stderr
        messages = [served.body["messages"] for served in server.log]
    (kept,) = read_run(tmp_path / "run").requests
    assert [entry.asked_input_tokens for entry in kept] == [entry.input_tokens for entry in kept]
    assert len({entry.asked_input_tokens for entry in kept}) == 6, "three prompts, with and without a prefix"
    assert sum(CALLED in each and ANSWERED in each for each in messages) == 10
    assert warnings(tmp_path) == [told for told in warnings(tmp_path) if "prompts" not in told]
    schedule = (tmp_path / "run" / "schedule-000.csv").read_text().splitlines()
    column = schedule[0].split(",").index("input_tokens")
    by_index = {entry.index: entry.asked_input_tokens for entry in kept}
    assert [int(row.split(",")[column]) for row in schedule[1:]] == [by_index[index] for index in range(30)]


def test_prompts_that_cannot_fit_are_told_by_line_before_anything_is_sent(tmp_path: Path) -> None:
    long = {"prompt": "word " * 2_500}  # of two tokens each; the context is 4096
    write_prompts(tmp_path, {"prompt": "short"}, *[{**long, "prompt": f"{n} {long['prompt']}"} for n in range(25)])
    with KnownServer() as server:
        done = bench(tmp_path, server, prompts="mine.jsonl", output_tokens=2)
        assert server.log == []
    assert done.returncode == 2
    assert "w.json:1:" in done.stderr
    assert "25 of 26 prompts do not fit into the server's max_model_len of 4096" in done.stderr
    assert "allowed: at most 4095" in done.stderr
    named = [line.partition(": ")[0] for line in done.stderr.splitlines() if "mine.jsonl:" in line]
    assert [name.rpartition("mine.jsonl:")[2] for name in named] == [str(line) for line in range(2, 22)]
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in done.stderr


def test_prompts_that_fit_alone_but_not_behind_the_prefix_are_told(tmp_path: Path) -> None:
    write_prompts(tmp_path, {"prompt": "short"}, {"prompt": "word " * 1_600})
    with KnownServer() as server:
        prefix = {"tokens": 1_000, "fraction": 0.1}
        done = bench(tmp_path, server, prompts="mine.jsonl", output_tokens=2, shared_prefix=prefix)
        assert server.log == []
    assert done.returncode == 2
    assert "1 of 2 prompts do not fit" in done.stderr
    assert "beside a shared prefix of 1000" in done.stderr
    assert "mine.jsonl:2: has 32" in done.stderr


@pytest.mark.parametrize("fields", [{"prompts": "mine.jsonl"}, {"input_tokens": "lognormal:p50=900,p95=6000"}])
def test_prefix_as_long_as_the_context_is_refused(tmp_path: Path, fields: dict[str, Any]) -> None:
    write_prompts(tmp_path, {"prompt": "short"})
    with KnownServer() as server:
        done = bench(tmp_path, server, output_tokens=2, shared_prefix={"tokens": 4_095}, **fields)
        assert server.log == []
    assert done.returncode == 2
    assert "shared_prefix.tokens: must be at most 4094" in done.stderr
    assert "w.json:1:" in done.stderr


def test_lengths_beyond_the_context_are_told_with_file_and_field(tmp_path: Path) -> None:
    with KnownServer() as server:
        done = bench(tmp_path, server, input_tokens=4_000, output_tokens=200)
        assert done.returncode == 2
        assert "w.json:1:" in done.stderr
        assert "input_tokens: with output_tokens, 4200 tokens together" in done.stderr
        assert "--input-tokens" not in done.stderr
        fields = {"input_tokens": 400, "output_tokens": 200, "conversation": {"turns": 8}}
        done = bench(tmp_path, server, **fields)
        assert "input_tokens: with output_tokens in 8 turns, 4800 tokens together" in done.stderr
        assert server.log == []
        lengths = ("--input-tokens", "4000", "--output-tokens", "200")
        done = planner(tmp_path, "bench", "--url", server.url, *LOAD, *lengths, "--out", "run", "--quiet")
    assert "--input-tokens and --output-tokens: 4200 tokens together" in done.stderr


def test_prefixes_that_are_cut_are_counted_in_a_note(tmp_path: Path) -> None:
    fields = {"input_tokens": "lognormal:p50=60,p95=150", "output_tokens": 2, "shared_prefix": {"tokens": 50}}
    with KnownServer() as server:
        done = bench(tmp_path, server, **fields)
        assert done.returncode in (0, 4), done.stderr
        said = [served.body["messages"][-1]["content"] for served in server.log]
    longest, second = sorted(said, key=len)[-2:]
    both = [one for one, other in zip(longest.split(), second.split(), strict=False) if one == other]
    ends = [end for end in range(len(both) + 1) if tokens_of(" ".join(both[:end])) == 50]
    prefix = " ".join(both[: ends[0]])
    assert longest.startswith(f"{prefix} ")
    short = sum(not text.startswith(f"{prefix} ") for text in said)
    assert 5 <= short <= 25
    (note,) = [told for told in warnings(tmp_path) if "shared prefix" in told]
    assert note.startswith(
        f"{short} of 30 requests with a shared prefix begin with less of it than the 50 tokens asked"
    )
    assert max(map(tokens_of, said)) > FIXED_TOKENS + 50


def test_prefixes_that_are_whole_need_no_note(tmp_path: Path) -> None:
    fields = {"input_tokens": 60, "output_tokens": 2, "shared_prefix": {"tokens": 50}}
    with KnownServer() as server:
        assert bench(tmp_path, server, **fields).returncode in (0, 4)
    assert not any("shared prefix" in told for told in warnings(tmp_path))


def test_estimated_lengths_are_noted(tmp_path: Path) -> None:
    write_prompts(tmp_path, {"prompt": "what is it"})
    with KnownServer() as server:
        server.has_tokenize = False
        assert bench(tmp_path, server, prompts="mine.jsonl", output_tokens=2).returncode in (0, 4)
    (note,) = [told for told in warnings(tmp_path) if "estimated" in told]
    assert "does not count texts" in note
    assert note in read_run(tmp_path / "run").run.warnings


def test_ctrl_c_while_prompts_are_counted_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count, counted = OpenAIClient.count_tokens, []

    async def interrupted(self: OpenAIClient, model: str, prompt: Any, parameters: Any = ()) -> int | None:
        if "question 30" in str(prompt):
            counted.append(prompt)
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.Event().wait()
        return await count(self, model, prompt, dict(parameters))

    monkeypatch.setattr(OpenAIClient, "count_tokens", interrupted)
    write_prompts(tmp_path, *({"prompt": f"question {number}"} for number in range(100)))
    with KnownServer() as server:
        done = bench(tmp_path, server, prompts="mine.jsonl", output_tokens=2)
        assert server.log == []
    assert done.returncode == 130
    assert len(counted) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_run_does_not_go_on_with_prompts_that_say_something_else(tmp_path: Path) -> None:
    (tmp_path / "foo.yaml").write_text("prompts: file://ask.txt\ntests: [{vars: {a: b}}]\n")
    (tmp_path / "ask.txt").write_text("ask {{a}}")
    with KnownServer() as server:
        load = ("--sweep", "--concurrency", "1,2", "--requests", "4")
        assert bench(tmp_path, server, *load, prompts="foo.yaml", output_tokens=2).returncode in (0, 4)
        data = json.loads((tmp_path / "run" / "run.json").read_text())
        data["points"], data["status"] = data["points"][:1], "interrupted"
        (tmp_path / "run" / "run.json").write_text(json.dumps(data))
        (tmp_path / "run" / "requests-001.jsonl").unlink()
        (tmp_path / "ask.txt").write_text("say {{a}}")  # as long as before
        done = planner(tmp_path, "bench", "--resume", "run", "--quiet")
        assert "is not what was sent" in done.stderr
        (tmp_path / "ask.txt").write_text("ask {{a}}")
        assert planner(tmp_path, "bench", "--resume", "run", "--quiet").returncode in (0, 4)


def test_calls_of_tools_are_not_asked_as_completions(tmp_path: Path) -> None:
    write_prompts(tmp_path, {"prompt": "plain"}, *[{"messages": [CALLED, ANSWERED]}] * 30)
    with KnownServer() as server:
        done = bench(tmp_path, server, endpoint="completions", prompts="mine.jsonl", output_tokens=2)
    assert done.returncode == 2
    assert done.stderr.count("has calls of tools") == 20
    assert "mine.jsonl:2: has calls of tools" in done.stderr
    assert "and 10 more" in done.stderr
