"""Conversations in a schedule: users come apart, and no conversation is longer than the context."""

from collections import Counter

import numpy as np
import pytest

from planner.core.lengths import Apart, Lengths
from planner.core.think import ThinkTime
from planner.loadtest.schedule import Extent, Requests, Schedule, closed_loop
from planner.loadtest.turns import Dialogue, Turns, divided, told_of_ends

LENGTHS = Apart(Lengths(100, 400), Lengths(50, 90))
OF_2000 = Extent(2000, None, 0.0)
USERS, TURNS, CONTEXT, TEMPLATE = 50, 6, 1500, 11


def drawn(extent: Extent = OF_2000, seed: int = 1, max_model_len: int | None = None, users: int = USERS) -> Schedule:
    dialogue = Dialogue(TURNS, max_model_len, TEMPLATE)
    return closed_loop(users, LENGTHS, extent, (seed, 0), ThinkTime(1.0, "exponential"), dialogue)


def turns_of(schedule: Schedule) -> Turns:
    assert schedule.measured.turns is not None
    return schedule.measured.turns


def conversations(requests: Requests) -> list[list[int]]:
    """The places of each conversation's turns, in order; whole ones only."""
    assert requests.turns is not None
    found: dict[int, list[int]] = {}
    for number, conversation in enumerate(requests.turns.conversation.tolist()):
        found.setdefault(conversation, []).append(number)
    return list(found.values())[:-1]


def asked(requests: Requests) -> dict[int, tuple[int, int, int, int]]:
    """What each request is to be, by its place."""
    found = [requests.ask(number) for number in range(len(requests))]
    return {each.index: (each.input_tokens, each.output_tokens, each.conversation, each.turn) for each in found}


def test_first_conversation_of_each_user_has_any_number_of_turns_and_later_ones_all() -> None:
    lengths = [len(each) for each in conversations(drawn().measured)]
    firsts = Counter(lengths[:USERS])
    assert set(firsts) == set(range(1, TURNS + 1))
    assert max(firsts.values()) <= 20, "of 50 with probability 1/6, 99.99 % of binomials are at most 20"
    assert set(lengths[USERS:]) == {TURNS}
    assert lengths[:USERS] != [len(each) for each in conversations(drawn(seed=2).measured)][:USERS]


@pytest.mark.parametrize("max_model_len", [None, CONTEXT])
def test_longer_load_and_warm_up_begin_with_the_same(max_model_len: int | None) -> None:
    short = drawn(max_model_len=max_model_len)
    count = 2000
    for extent in (Extent(4000, None, 0.0), Extent(2000, None, 3.0), Extent(None, 1.0, 0.0)):
        other = drawn(extent, max_model_len=max_model_len)
        assert len(other.warmup) == 0
        for name in ("turn", "conversation", "is_cut", "is_shortened"):
            assert getattr(turns_of(short), name)[:count].tolist() == getattr(turns_of(other), name)[:count].tolist()
        assert short.measured.input_tokens[:count].tolist() == other.measured.input_tokens[:count].tolist()
        assert short.measured.think_s is not None
        assert other.measured.think_s is not None
        assert short.measured.think_s[:count].tolist() == other.measured.think_s[:count].tolist()


@pytest.mark.parametrize("parts", [2, 3])
def test_shares_are_whole_conversations_each_once_with_the_first_ones_of_their_users(parts: int) -> None:
    whole = drawn(max_model_len=CONTEXT)
    shares = [whole.share(part, parts) for part in range(parts)]
    together = [asked(share.measured) for share in shares]
    assert sum(map(len, together)) == len(whole.measured)
    assert {place: each for share in together for place, each in share.items()} == asked(whole.measured)
    assert sum(share.most_counted or 0 for share in shares) == 2000
    for share, found in zip(shares, together, strict=True):
        mine = {conversation for _, _, conversation, _ in found.values()}
        assert sum(conversation < USERS for conversation in mine) == share.concurrency
        assert len(found) >= (share.most_counted or 0)
        for places in conversations(share.measured):
            turns = [found[share.measured.place(number)][3] for number in places]
            assert turns == list(range(len(turns)))


def test_there_is_enough_for_each_process_to_count_its_share_and_keep_its_users_busy() -> None:
    for seed in range(20):
        schedule = drawn(Extent(3, None, 0.0), seed=seed, users=4)
        for part in range(4):
            share = schedule.share(part, 4)
            assert len(share.measured) >= (share.most_counted or 0) + TURNS - 1


def test_conversation_ends_before_the_turn_that_does_not_fit_and_no_later_turn_is_shortened() -> None:
    schedule, free = drawn(max_model_len=CONTEXT), drawn().measured
    requests, turns = schedule.measured, turns_of(schedule)
    room = 0.98 * CONTEXT - 12
    ended_early = 0
    for number, places in enumerate(conversations(requests)):
        tokens = requests.input_tokens[places] + requests.output_tokens[places]
        held = int(tokens.sum()) + TEMPLATE * (len(places) - 1)
        assert held <= room + 0.5
        following = places[-1] + 1
        one_more = held + TEMPLATE + int(free.input_tokens[following] + free.output_tokens[following])
        if number >= USERS:
            assert turns.is_cut[places[-1]] == (len(places) < TURNS)
        if turns.is_cut[places[-1]]:
            ended_early += 1
            assert one_more > room - 0.5
        assert not turns.is_cut[places[:-1]].any()
    assert 50 < ended_early < len(conversations(requests)) - 50
    is_later = turns.turn > 0
    assert requests.input_tokens[is_later].tolist() == free.input_tokens[is_later].tolist()
    assert requests.output_tokens[is_later].tolist() == free.output_tokens[is_later].tolist()


def test_first_turn_that_alone_does_not_fit_is_shortened_as_a_request_that_stands_alone() -> None:
    long = Apart(Lengths(900, 4000), Lengths(50))
    whole = closed_loop(2, long, Extent(100, None, 0.0), (1, 0), None, Dialogue(3, CONTEXT))
    turns, free = turns_of(whole), closed_loop(2, long, Extent(100, None, 0.0), (1, 0), None, Dialogue(3)).measured
    is_long = free.input_tokens + 50 > 0.98 * CONTEXT - 12
    assert 0 < is_long.sum() < len(free)
    assert turns.is_shortened.tolist() == is_long.tolist()
    assert set(turns.turn[is_long].tolist()) == {0}
    alone = Requests(None, free.input_tokens, free.output_tokens).within(CONTEXT)
    assert whole.measured.input_tokens.tolist() == alone.input_tokens.tolist()
    assert whole.measured.output_tokens.tolist() == alone.output_tokens.tolist()


def test_what_is_told_of_ends_is_of_the_requests_that_count() -> None:
    tokens = np.array([700, 700, 700, 9000, 100, 100, 100, 700])
    turns = divided(tokens, np.array([3]), Dialogue(3, 2000, 10))
    assert turns.turn.tolist() == [0, 1, 0, 0, 0, 1, 2, 0]
    assert turns.is_cut.tolist() == [False, True, True, True, False, False, False, False]
    early, short = told_of_ends(turns, np.arange(2, 7))  # of the first conversation nothing counts
    assert early.startswith("2 of 3 conversations ended early, after 1.0 of 3 turns on average: the next one did not")
    assert "max_model_len of 2000; fewer turns, shorter messages or a larger --max-model-len" in early
    assert short == "1 of 3 first turns were shortened to fit the server's max_model_len of 2000"
    assert list(told_of_ends(turns, np.array([4, 5, 6, 7]))) == []
    assert list(told_of_ends(divided(tokens, np.array([3]), Dialogue(3)), np.arange(8))) == []


def test_requests_of_conversations_are_one_sequence_of_which_nobody_knows_before_what_is_sent() -> None:
    schedule = drawn(Extent(2000, None, 5.0))
    assert schedule.saved is None
    assert schedule.most_counted == 2000
    assert (schedule.warmup_s, schedule.duration_s, schedule.concurrency) == (5.0, None, USERS)
    kept = schedule.saved_up_to(70)
    assert (kept.input_tokens.size, kept.warmup) == (70, 0)
    by_time = drawn(Extent(None, 2.0, 5.0))
    assert (by_time.most_counted, by_time.duration_s) == (None, 2.0)
