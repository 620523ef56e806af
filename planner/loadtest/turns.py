"""Conversations in a schedule: which turn of which one each request is, and where one ends.

They are one sequence of requests, warm-up and all: each user leads the next conversation of it to its end, and what is
sent before the counting begins is warm-up. So a conversation that is under way then goes on, and its later turns count.
The first conversation of each user has a random number of turns, so that users come apart: if all began a whole one at
once, contexts would grow and end in step, and the server would hold now little and now too much.

A conversation ends before a turn that the server's context does not hold; that turn begins the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.core.lengths import Tokens
from planner.core.quantiles import Ints
from planner.loadtest.context import room_tokens

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Dialogue:
    """What conversations are to be.

    Attributes:
        turns: of each, as far as the context holds them.
        max_model_len: context of the server [tokens]; None where nobody knows it.
        template_tokens: that stand around an answer when it is sent again with the next turn [tokens]; those around
            the user's message are part of its length.
    """

    turns: int
    max_model_len: int | None = None
    template_tokens: int = 0


@dataclass(frozen=True)
class Turns:
    """Where requests stand in conversations, those of one next to each other; each column of shape (requests,).

    Attributes:
        dialogue: what they are to be.
        place: in the whole schedule.
        conversation: its place among them.
        turn: of the conversation, from 0.
        is_cut: the conversation ends after it, since the next turn does not fit.
        is_shortened: it alone did not fit, and was shortened.
    """

    dialogue: Dialogue
    place: Tokens
    conversation: Tokens
    turn: Tokens
    is_cut: Bools
    is_shortened: Bools

    @property
    def is_last(self) -> Bools:
        """Whether each is the last of its conversation."""
        return np.append(self.turn[1:] == 0, True)

    def at(self, mine: Bools) -> "Turns":
        """Some of them, whole conversations."""
        return replace(
            self,
            place=self.place[mine],
            conversation=self.conversation[mine],
            turn=self.turn[mine],
            is_cut=self.is_cut[mine],
            is_shortened=self.is_shortened[mine],
        )

    def goes_on_after(self, number: int) -> bool:
        """Whether the conversation has another turn after this one."""
        return number + 1 < self.turn.size and bool(self.turn[number + 1] > 0)


def divided(tokens: Ints, firsts: Ints, dialogue: Dialogue) -> Turns:
    """Requests in a row as conversations.

    Args:
        tokens: of each new message and its answer together [tokens], shape (requests,).
        firsts: turns of the first conversations, one for each user, shape (users,).
        dialogue: what they are to be.

    Example:
        >>> of_three = Dialogue(turns=3, max_model_len=2000, template_tokens=10)  # with room for 1948 tokens
        >>> found = divided(np.full(9, 700), np.array([1, 3]), of_three)
        >>> found.turn.tolist()
        [0, 0, 1, 0, 1, 0, 1, 0, 1]
        >>> found.is_cut.tolist()
        [False, False, True, False, True, False, True, False, False]
    """
    begins, cut_after = _begins(tokens, firsts, dialogue)
    place = np.arange(tokens.size, dtype=np.int32)
    is_first = np.zeros(tokens.size, dtype=np.bool_)
    is_first[begins] = True
    conversation = np.cumsum(is_first, dtype=np.int32) - np.int32(1)
    is_cut = np.zeros(tokens.size, dtype=np.bool_)
    is_cut[cut_after] = True
    is_shortened = np.zeros(tokens.size, dtype=np.bool_)
    if dialogue.max_model_len is not None:
        is_shortened = is_first & (tokens > room_tokens(dialogue.max_model_len))
    return Turns(dialogue, place, conversation, place - begins[conversation], is_cut, is_shortened)


def _begins(tokens: Ints, firsts: Ints, dialogue: Dialogue) -> tuple[Tokens, Tokens]:
    """Where conversations begin, and after which requests one ends since the next turn does not fit."""
    ends = _ends(tokens, dialogue)
    begins, cut_after = [], []
    begin, short = 0, iter(firsts.tolist())
    while begin < tokens.size:
        begins.append(begin)
        wanted = begin + next(short, dialogue.turns)
        begin = wanted if ends is None else min(wanted, int(ends[begin]))
        if begin < min(wanted, tokens.size):
            cut_after.append(begin - 1)
    return np.array(begins, dtype=np.int32), np.array(cut_after, dtype=np.int32)


def _ends(tokens: Ints, dialogue: Dialogue) -> Ints | None:
    """The request before which a conversation would have to end that began with each; None where nobody knows."""
    if dialogue.max_model_len is None:
        return None
    # Up to request e, a conversation that began with b holds held[e] - held[b], and no answer comes after its last.
    held = np.concatenate(([0], np.cumsum(tokens + dialogue.template_tokens, dtype=np.int64)))
    most = held[:-1] + room_tokens(dialogue.max_model_len) + dialogue.template_tokens
    return np.maximum(np.searchsorted(held, most, side="right") - 1, np.arange(1, tokens.size + 1))


def told_of_ends(turns: Turns, sent: Ints) -> Iterator[str]:
    """What must be known of conversations that were longer than the context.

    Args:
        turns: of the whole schedule.
        sent: places in it of the requests that were sent, those that count.

    Example:
        >>> found = divided(np.full(4, 700), np.array([1]), Dialogue(turns=3, max_model_len=2000))
        >>> next(told_of_ends(found, np.array([0, 1, 2]))).partition(":")[0]
        '1 of 2 conversations ended early, after 2.0 of 3 turns on average'
    """
    limit = f"the server's max_model_len of {turns.dialogue.max_model_len}"
    ended, early = int(turns.is_last[sent].sum()), sent[turns.is_cut[sent]]
    if early.size:
        yield (
            f"{early.size} of {ended} conversations ended early, after {turns.turn[early].mean() + 1:.1f} of "
            f"{turns.dialogue.turns} turns on average: the next one did not fit {limit}; fewer turns, shorter messages "
            "or a larger --max-model-len of the server would help"
        )
    first, short = int((turns.turn[sent] == 0).sum()), int(turns.is_shortened[sent].sum())
    if short:
        yield f"{short} of {first} first turns were shortened to fit {limit}"
