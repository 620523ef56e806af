"""The protocol: bodies, streams, refusals."""

import json
from typing import Any

import pytest

from planner import __version__
from tests.engines.emulator.conftest import Client

WORDS = "one two  three\nfour"


def chat(**more: Any) -> dict[str, Any]:
    return {"model": "toy", "messages": [{"role": "user", "content": WORDS}], "max_tokens": 5, **more}


def completion(**more: Any) -> dict[str, Any]:
    return {"model": "toy", "prompt": WORDS, "max_tokens": 5, **more}


def test_chat_answers_with_as_many_tokens_as_asked(client: Client) -> None:
    answer = client.ask("/v1/chat/completions", chat(ignore_eos=True, temperature=0.7))
    assert answer.status == 200
    assert answer.headers["Server"] == "planner-emulator"
    assert (answer.json["object"], answer.json["model"]) == ("chat.completion", "toy")
    assert answer.json["usage"] == {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13}
    (choice,) = answer.json["choices"]
    assert choice["message"]["role"] == "assistant"
    assert len(choice["message"]["content"].split()) == 5
    assert choice["finish_reason"] == "length"


def test_a_completion_takes_text_or_tokens(client: Client) -> None:
    for prompt, tokens in ((WORDS, 4), ([5, 6, 7], 3), ([WORDS], 4), ([[5, 6]], 2)):
        answer = client.ask("/v1/completions", completion(prompt=prompt))
        assert answer.json["usage"] == {"prompt_tokens": tokens, "completion_tokens": 5, "total_tokens": tokens + 5}
        assert answer.json["object"] == "text_completion"
        assert len(answer.json["choices"][0]["text"].split()) == 5


@pytest.mark.parametrize(("endpoint", "default"), [("chat/completions", 128), ("completions", 16)])
def test_lengths_nobody_asked_for(client: Client, endpoint: str, default: int) -> None:
    body = chat(max_tokens=None, prompt=WORDS)
    assert client.ask(f"/v1/{endpoint}", body).json["usage"]["completion_tokens"] == default


def test_a_default_length_fits_into_what_the_prompt_leaves(client: Client) -> None:
    body = {"messages": [{"role": "user", "content": "word " * 990}]}
    usage = client.ask("/v1/chat/completions", body).json["usage"]
    assert usage == {"prompt_tokens": 994, "completion_tokens": 6, "total_tokens": 1000}


def test_max_completion_tokens_goes_before_max_tokens(client: Client) -> None:
    answer = client.ask("/v1/chat/completions", chat(max_completion_tokens=2))
    assert answer.json["usage"]["completion_tokens"] == 2


def test_a_chat_stream_begins_with_the_role_and_ends_with_usage(client: Client) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    answer = client.ask("/v1/chat/completions", body, {"X-Request-Id": 'mine" MARK '})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Server"] == "planner-emulator"
    role, *pieces, usage = answer.events
    assert role["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert len(pieces) == 5
    assert [piece["choices"][0]["finish_reason"] for piece in pieces] == [None] * 4 + ["length"]
    assert usage["choices"] == []
    assert usage["usage"] == {"prompt_tokens": 8, "completion_tokens": 5, "total_tokens": 13}
    assert {event["id"] for event in answer.events} == {'chatcmpl-mine" MARK'}
    assert {event["object"] for event in answer.events} == {"chat.completion.chunk"}
    whole = client.ask("/v1/chat/completions", chat()).json["choices"][0]["message"]["content"]
    assert "".join(piece["choices"][0]["delta"]["content"] for piece in pieces) == whole


def test_a_completion_stream_tells_usage_only_where_asked(client: Client) -> None:
    plain = client.ask("/v1/completions", completion(stream=True)).events
    assert [len(event["choices"][0]["text"].split()) for event in plain] == [1] * 5
    assert not any("usage" in event for event in plain)
    options = {"continuous_usage_stats": True}
    counting = client.ask("/v1/completions", completion(stream=True, stream_options=options)).events
    assert [event["usage"]["completion_tokens"] for event in counting] == [1, 2, 3, 4, 5]
    assert [event["choices"] for event in counting] == [event["choices"] for event in plain]


def test_one_token_is_first_and_last(client: Client) -> None:
    (only,) = client.ask("/v1/completions", completion(stream=True, max_tokens=1)).events
    assert only["choices"][0]["finish_reason"] == "length"
    assert len(only["choices"][0]["text"].split()) == 1


def test_a_connection_serves_one_stream_after_the_other(client: Client) -> None:
    connection = client.connect()
    for _ in range(3):
        connection.request("POST", "/v1/completions", json.dumps(completion(stream=True)))
        assert connection.getresponse().read().endswith(b"data: [DONE]\n\n")
    connection.close()


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/v1/chat/completions", chat(model="other"), 404, "The model `other` does not exist."),
        ("/v1/chat/completions", "{", 400, "Invalid JSON"),
        ("/v1/chat/completions", {"model": "toy"}, 400, "messages: Field required"),
        ("/v1/chat/completions", chat(messages=[]), 400, "messages: List should have at least 1 item"),
        ("/v1/chat/completions", chat(n=2), 400, "one answer per request"),
        ("/v1/chat/completions", chat(max_tokens=0), 400, "max_tokens: Input should be greater than or equal to 1"),
        ("/v1/chat/completions", chat(max_tokens=993), 400, "maximum context length is 1000 tokens"),
        ("/v1/completions", completion(max_tokens=997), 400, "together 1001"),
        ("/v1/completions", completion(prompt=["a", "b"]), 400, "one prompt per request"),
        ("/v1/completions", completion(prompt=[]), 400, "one prompt per request"),
        ("/v1/completions", completion(prompt=" "), 400, "at least one token"),
        ("/tokenize", {}, 400, "needs prompt or messages"),
        ("/v1/nothing", None, 404, "GET /v1/nothing: Not Found"),
        ("/v1/completions", None, 405, "GET /v1/completions: Method Not Allowed"),
    ],
)
def test_refusals_are_worded_as_openai_words_them(
    client: Client, path: str, body: Any, status: int, message: str
) -> None:
    answer = client.ask(path, body)
    assert answer.status == status
    assert answer.headers["Server"] == "planner-emulator"
    assert set(answer.json["error"]) == {"message", "type", "param", "code"}
    assert message in answer.json["error"]["message"]
    assert answer.json["error"]["code"] == status


def test_what_else_tools_ask_for(client: Client) -> None:
    (model,) = client.ask("/v1/models").json["data"]
    assert (model["id"], model["owned_by"], model["max_model_len"]) == ("toy", "planner-emulator", 1000)
    assert client.ask("/health").status == 200
    assert client.ask("/version").json == {"version": __version__, "engine": "planner-emulator"}


def test_tokenize_counts_what_usage_counts(client: Client) -> None:
    body = chat()
    counted = client.ask("/tokenize", {"model": "toy", "messages": body["messages"]}).json
    assert (counted["count"], len(counted["tokens"]), counted["max_model_len"]) == (8, 8, 1000)
    tokens = client.ask("/tokenize", {"prompt": WORDS}).json["tokens"]
    assert client.ask("/v1/completions", completion(prompt=tokens)).json["usage"]["prompt_tokens"] == 4
