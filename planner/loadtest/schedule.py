"""What is sent and when: drawn from one seed before the first request goes out."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from planner.core.arrivals import Array, Stream
from planner.core.lengths import Drawn, RequestLengths, Tokens
from planner.core.rates import Rate
from planner.core.think import ThinkTime
from planner.loadtest.context import room_tokens, shortened
from planner.loadtest.turns import Dialogue, Turns, divided
from planner.store.schedules import SavedSchedule

MOST_CLOSED_PER_S = 10_000
"""Requests per second that a closed loop which ends by time has lengths for: more than one client can send."""
MOST_CLOSED_REQUESTS = 2_000_000
"""And in all, so that they take a few megabytes; at 1000 requests/s they last for half an hour."""

_ARRIVALS, _LENGTHS, _WARMUP_ARRIVALS, _WARMUP_LENGTHS, _THINK, _WARMUP_THINK, _FIRST_TURNS = range(7)
"""Streams of random numbers, so that a longer warm-up changes nothing of what is measured."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request is to be.

    Attributes:
        index: its place in the whole schedule; below 0 in the warm-up, where requests stand alone.
        input_tokens: of its prompt; in a conversation, of the new message [tokens].
        output_tokens: of its answer [tokens].
        row: in the list of the user's own prompts; -1 where there is none.
        conversation: its place among them; a request that stands alone is one of its own.
        turn: of the conversation, from 0.
    """

    index: int
    input_tokens: int
    output_tokens: int
    row: int = -1
    conversation: int = 0
    turn: int = 0


@dataclass(frozen=True)
class Requests:
    """Requests in the order in which they are sent.

    Attributes:
        due_s: when each is due, ascending, measured ones from 0, warm-up ones below [s]; None in a closed loop, where
            users send them as they get round to it. Shape (requests,).
        input_tokens: prompt length asked for [tokens], shape (requests,).
        output_tokens: answer length asked for [tokens], shape (requests,).
        think_s: in a closed loop, how long the user who sends it waits before, the first time too [s]; None where
            nobody waits. Shape (requests,).
        rows: where each prompt stands in the list of the user's own; None where there is none. Shape (requests,).
        turns: where they stand in conversations; None where each stands alone.
        first, step: where in the whole schedule those stand that stand alone: the i-th of them at first + i·step.
    """

    due_s: Array | None
    input_tokens: Tokens
    output_tokens: Tokens
    think_s: Array | None = None
    rows: Tokens | None = None
    turns: Turns | None = None
    first: int = 0
    step: int = 1

    def __len__(self) -> int:
        return int(self.input_tokens.size)

    def place(self, number: int) -> int:
        """Where in the whole schedule one of them stands."""
        return self.first + number * self.step if self.turns is None else int(self.turns.place[number])

    def ask(self, number: int, is_measured: bool = True) -> Ask:
        """One of them."""
        place = self.place(number)
        row = -1 if self.rows is None else int(self.rows[number])
        asked = int(self.input_tokens[number]), int(self.output_tokens[number])
        if self.turns is not None:
            return Ask(place, *asked, row, int(self.turns.conversation[number]), int(self.turns.turn[number]))
        if not is_measured:
            place = -1 - place
        return Ask(place, *asked, row, place)

    def share(self, part: int, parts: int) -> "Requests":
        """Every parts-th request or conversation, from the part-th on; together the shares are all of them, each once.

        Example:
            >>> asked = Requests(np.array([0.0, 0.1, 0.2]), np.array([5, 6, 7]), np.array([1, 2, 3]))
            >>> share = asked.share(1, 2)
            >>> share.due_s.tolist(), share.input_tokens.tolist(), share.place(0)
            ([0.1], [6], 1)
        """
        mine: slice | NDArray[np.bool_] = slice(part, None, parts)
        if self.turns is not None:
            mine = self.turns.conversation % parts == part
        return replace(
            self,
            due_s=None if self.due_s is None else self.due_s[mine],
            input_tokens=self.input_tokens[mine],
            output_tokens=self.output_tokens[mine],
            think_s=None if self.think_s is None else self.think_s[mine],
            rows=None if self.rows is None else self.rows[mine],
            turns=None if self.turns is None or isinstance(mine, slice) else self.turns.at(mine),
            first=self.first + part * self.step,
            step=self.step * parts,
        )

    def within(self, max_model_len: int) -> "Requests":
        """The same, if each stands alone, shortened to fit a context [tokens]; conversations are drawn to fit it.

        Example:
            >>> asked = Requests(None, np.array([100, 5000, 10]), np.array([50, 50, 9000]))
            >>> fitting = asked.within(1000)
            >>> fitting.input_tokens.tolist(), fitting.output_tokens.tolist()
            ([100, 918, 10], [50, 50, 958])
        """
        room = room_tokens(max_model_len)
        if self.turns is not None:
            return self
        if self.rows is not None:  # prompts are what they are
            most = np.maximum(1, room - self.input_tokens)
            return replace(self, output_tokens=np.minimum(self.output_tokens, most))
        prompts, answers = shortened(self.input_tokens, self.output_tokens, room)
        return replace(self, input_tokens=prompts, output_tokens=answers)

    def differing(self, other: "Requests") -> int:
        """How many requests have other lengths [requests]."""
        is_other = (self.input_tokens != other.input_tokens) | (self.output_tokens != other.output_tokens)
        return int(np.count_nonzero(is_other))


@dataclass(frozen=True)
class Schedule:
    """A load point to come.

    Attributes:
        warmup: sent before, and counted nowhere; none where there are conversations.
        measured: what is counted; of conversations, all: what is sent before the counting begins is warm-up.
        concurrency: users of a closed loop; None in an open one.
        offered_requests_per_s: mean rate asked for, over all stages of a load [requests/s]; None in a closed loop.
        warmup_s: how long before the first counted request the first one goes out [s].
        duration_s: after which a closed loop sends nothing more [s]; None where the number of requests ends it.
        most_counted: after how many counted requests conversations end, wherever they stand, so that no user is
            without one before; None where all are counted, or time ends them [requests].
    """

    warmup: Requests
    measured: Requests
    concurrency: int | None = None
    offered_requests_per_s: float | None = None
    warmup_s: float = 0.0
    duration_s: float | None = None
    most_counted: int | None = None

    @property
    def label(self) -> str:
        """The load in two words."""
        return load_label(self.concurrency, self.offered_requests_per_s)

    @property
    def saved(self) -> SavedSchedule | None:
        """As it is kept on disk; None for a closed loop of which nobody knows yet what it will send.

        That is one which ends by time, or in the midst of conversations. The warm-up of any closed loop ends by time.
        It is left out where requests stand alone; which turns of conversations it was, only their records tell.
        """
        if self.duration_s is not None or self.most_counted is not None:
            return None
        if self.measured.due_s is None:
            return self.saved_up_to(len(self.measured))
        before = self.warmup.due_s if self.warmup.due_s is not None else np.empty(0)
        return SavedSchedule(
            timestamp_s=np.concatenate((before, self.measured.due_s)),
            think_s=None,
            input_tokens=np.concatenate((self.warmup.input_tokens, self.measured.input_tokens)),
            output_tokens=np.concatenate((self.warmup.output_tokens, self.measured.output_tokens)),
            warmup=len(self.warmup),
        )

    def saved_up_to(self, requests: int) -> SavedSchedule:
        """A closed loop as it is kept on disk once it is known how much of it was used [requests]."""
        measured = self.measured
        think_s = None if measured.think_s is None else measured.think_s[:requests]
        return SavedSchedule(None, think_s, measured.input_tokens[:requests], measured.output_tokens[:requests])

    def share(self, part: int, parts: int) -> "Schedule":
        """What one of several processes sends: its share of the requests and, in a closed loop, of the users.

        Example:
            >>> nothing = Requests(None, np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int32))
            >>> [Schedule(nothing, nothing, concurrency=5).share(part, 2).concurrency for part in (0, 1)]
            [3, 2]
        """
        users, most = self.concurrency, self.most_counted
        return replace(
            self,
            warmup=self.warmup.share(part, parts),
            measured=self.measured.share(part, parts),
            concurrency=None if users is None else users // parts + (part < users % parts),
            most_counted=None if most is None else most // parts + (part < most % parts),
        )

    def within(self, max_model_len: int | None) -> tuple["Schedule", int]:
        """The same with requests that a context holds, and how many measured ones had to be shortened [requests]."""
        if max_model_len is None:
            return self, 0
        warmup, measured = self.warmup.within(max_model_len), self.measured.within(max_model_len)
        return replace(self, warmup=warmup, measured=measured), self.measured.differing(measured)


@dataclass(frozen=True)
class Extent:
    """How long a load point is: a number of requests or a time [s], one of them, and its warm-up [s]."""

    requests: int | None
    duration_s: float | None
    warmup_s: float


def load_label(concurrency: int | None, requests_per_s: float | None) -> str:
    """A load in two words: users of a closed loop, or the rate of an open one [requests/s].

    Example:
        >>> load_label(1, None), load_label(8, None), load_label(None, 2.5)
        ('1 user', '8 users', '2.5 requests/s')
    """
    if concurrency is not None:
        return "1 user" if concurrency == 1 else f"{concurrency} users"
    return f"{requests_per_s or 0.0:.4g} requests/s"


def open_loop(stream: Stream, rate: Rate, lengths: RequestLengths, extent: Extent, seed: tuple[int, ...]) -> Schedule:
    """Requests due at times that do not depend on how the server does.

    The warm-up keeps the rate that the load begins with.

    Args:
        stream: of the arrivals.
        rate: of the arrivals.
        lengths: of prompts and answers.
        extent: how long.
        seed: the same gives the same schedule.

    Raises:
        InputError: the arrivals cannot be drawn.
    """
    rng = _rng(seed, _ARRIVALS)
    if extent.requests is not None:
        due_s = stream.first(extent.requests, rate, rng)
    else:
        due_s = stream.within(extent.duration_s or 0.0, rate, rng)
    before_s = np.empty(0)
    if extent.warmup_s > 0 and rate.first_per_s > 0:
        steady = Rate.constant(rate.first_per_s)
        before_s = stream.within(extent.warmup_s, steady, _rng(seed, _WARMUP_ARRIVALS)) - extent.warmup_s
    return Schedule(
        warmup=_requests(before_s, lengths.draw(before_s.size, _rng(seed, _WARMUP_LENGTHS))),
        measured=_requests(due_s, lengths.draw(due_s.size, _rng(seed, _LENGTHS))),
        offered_requests_per_s=rate.mean_per_s(extent.duration_s or np.inf),
        warmup_s=extent.warmup_s,
    )


def closed_loop(
    concurrency: int,
    lengths: RequestLengths,
    extent: Extent,
    seed: tuple[int, ...],
    think: ThinkTime | None = None,
    dialogue: Dialogue | None = None,
) -> Schedule:
    """Users that each send their next request when the last is answered, and they have thought about it.

    Args:
        concurrency: how many users.
        lengths: of prompts and answers.
        extent: how long.
        seed: the same gives the same schedule.
        think: of the users; None where they do not.
        dialogue: what conversations are to be, each led to its end before the next one; None where requests stand
            alone.
    """
    if dialogue is not None:
        return _conversations(concurrency, lengths, extent, seed, think, dialogue)
    before = _most_in(extent.warmup_s, concurrency) if extent.warmup_s > 0 else 0
    count = extent.requests or _most_in(extent.duration_s or 0.0, concurrency)

    def drawn(requests: int, of_lengths: int, of_think: int) -> Requests:
        think_s = None if think is None else think.draw(requests, _rng(seed, of_think))
        return _requests(None, lengths.draw(requests, _rng(seed, of_lengths)), think_s)

    return Schedule(
        warmup=drawn(before, _WARMUP_LENGTHS, _WARMUP_THINK),
        measured=drawn(count, _LENGTHS, _THINK),
        concurrency=concurrency,
        warmup_s=extent.warmup_s,
        duration_s=extent.duration_s,
    )


def _conversations(
    users: int,
    lengths: RequestLengths,
    extent: Extent,
    seed: tuple[int, ...],
    think: ThinkTime | None,
    dialogue: Dialogue,
) -> Schedule:
    """Warm-up and measured requests in one sequence; a longer one begins with the same."""
    if extent.requests is None:
        count = _most_in(extent.warmup_s + (extent.duration_s or 0.0), users)
    else:
        # As many again, since processes share conversations, which are not all as long.
        count = extent.requests + min(extent.requests, MOST_CLOSED_REQUESTS)
        count += _most_in(extent.warmup_s, users) if extent.warmup_s > 0 else 0
    count += min(MOST_CLOSED_REQUESTS, 2 * users * dialogue.turns)  # under way when the load ends
    drawn = lengths.draw(count, _rng(seed, _LENGTHS))
    tokens = np.add(drawn.input_tokens, drawn.output_tokens, dtype=np.int64)
    firsts = _rng(seed, _FIRST_TURNS).integers(1, dialogue.turns + 1, size=users)
    turns = divided(tokens, firsts, dialogue)
    requests = _requests(None, drawn, None if think is None else think.draw(count, _rng(seed, _THINK)))
    if dialogue.max_model_len is not None and turns.is_shortened.any():
        prompts, answers = np.array(drawn.input_tokens), np.array(drawn.output_tokens)
        long, room = turns.is_shortened, room_tokens(dialogue.max_model_len)
        prompts[long], answers[long] = shortened(prompts[long], answers[long], room)
        requests = replace(requests, input_tokens=prompts, output_tokens=answers)
    nothing = np.empty(0, dtype=np.int32)
    return Schedule(
        warmup=Requests(None, nothing, nothing),
        measured=replace(requests, turns=turns),
        concurrency=users,
        warmup_s=extent.warmup_s,
        duration_s=extent.duration_s,
        most_counted=extent.requests,
    )


def _most_in(time_s: float, concurrency: int) -> int:
    """More requests than a closed loop sends in a time."""
    return int(min(MOST_CLOSED_REQUESTS, concurrency + np.ceil(MOST_CLOSED_PER_S * time_s)))


def replay(
    time_s: Array, input_tokens: Tokens, output_tokens: Tokens, warmup_s: float, seed: tuple[int, ...]
) -> Schedule:
    """A trace as it was, from its first request; warmed up by Poisson arrivals at its mean rate, with its lengths.

    Args:
        time_s: ascending [s], at least one, shape (requests,).
        input_tokens: [tokens], shape (requests,).
        output_tokens: [tokens], shape (requests,).
        warmup_s: how long to warm up [s].
        seed: of the warm-up.

    Raises:
        InputError: the warm-up cannot be drawn.
    """
    due_s = time_s - time_s[0]
    rate_per_s = (due_s.size - 1) / float(due_s[-1]) if due_s[-1] > 0 else float(due_s.size)
    before_s = np.empty(0)
    if warmup_s > 0:
        before_s = Stream().within(warmup_s, Rate.constant(rate_per_s), _rng(seed, _WARMUP_ARRIVALS)) - warmup_s
    chosen = _rng(seed, _WARMUP_LENGTHS).integers(due_s.size, size=before_s.size)
    return Schedule(
        warmup=Requests(before_s, input_tokens[chosen], output_tokens[chosen]),
        measured=Requests(due_s, input_tokens, output_tokens),
        offered_requests_per_s=rate_per_s,
        warmup_s=warmup_s,
    )


def _requests(due_s: Array | None, lengths: Drawn, think_s: Array | None = None) -> Requests:
    return Requests(due_s, lengths.input_tokens, lengths.output_tokens, think_s, lengths.rows)


def _rng(seed: tuple[int, ...], stream: int) -> np.random.Generator:
    return np.random.default_rng((*seed, stream))
