"""One engine whose clock the caller owns: the scheduler as the emulator drives it."""

import numpy as np

from planner.core.engine import begin_step, end_step, forget, join_queue
from planner.core.engine_state import NOTHING_TO_DO, Ints, fits, new_replicas, new_requests
from planner.errors import InputError
from planner.schema.profile import Limits, StepTime

_THE_REPLICA = 0


class Scheduler:
    """One replica, step by step. Not safe to use from two threads at once.

    Args:
        step_time: what a step takes.
        limits: of the scheduler and the memory.
        slots: requests that may be running or waiting at the same time.

    Example:
        A prompt of 600 tokens at 512 a step takes two steps, and the second gives the first token:

        >>> step_time = StepTime(base=0.01, per_prefill_token=1e-5)
        >>> limits = Limits(
        ...     max_num_seqs=8, max_num_batched_tokens=512, kv_cache_tokens=1600, block_tokens=16, max_model_len=1600
        ... )
        >>> scheduler = Scheduler(step_time, limits, slots=4)
        >>> slot = scheduler.add(prompt_tokens=600, output_tokens=2)
        >>> round(scheduler.begin_step(), 5), scheduler.end_step()[0].tolist()
        (0.01512, [])
        >>> round(scheduler.begin_step(), 5), scheduler.end_step()[0].tolist() == [slot]
        (0.01088, True)
    """

    def __init__(self, step_time: StepTime, limits: Limits, slots: int) -> None:
        nothing = np.zeros(slots, dtype=np.int64)
        self._limits = limits
        self._requests = new_requests(nothing, nothing, nothing)
        self._replicas = new_replicas(step_time, limits, 1, slots)
        self._blocks = int(self._replicas.free_blocks[_THE_REPLICA])
        self._free_slots = list(range(slots - 1, -1, -1))
        # Compiled before the first request rather than while it waits.
        self.begin_step()
        self.end_step()
        join_queue(self._requests, self._replicas, _THE_REPLICA, 0)
        forget(self._requests, self._replicas, _THE_REPLICA, 0)

    def add(self, prompt_tokens: int, output_tokens: int, cached_tokens: int = 0) -> int:
        """Lets a request wait for the next step.

        Args:
            prompt_tokens: length of its prompt, at least 1 [tokens].
            output_tokens: tokens to generate, at least 1 [tokens].
            cached_tokens: part of the prompt in the prefix cache, below prompt_tokens [tokens].

        Returns:
            The slot that stands for it until it is finished or aborted.

        Raises:
            InputError: it could never be served, or no slot is free.
        """
        if prompt_tokens < 1 or output_tokens < 1 or not 0 <= cached_tokens < prompt_tokens:
            raise InputError("tokens", "a request has at least one prompt token to compute and one to generate")
        if not fits(self._limits, np.array([prompt_tokens]), np.array([output_tokens]))[0]:
            message = (
                f"{prompt_tokens} prompt and {output_tokens} output tokens are more than the model's "
                f"{self._limits.max_model_len} or the memory's {self._limits.kv_cache_tokens}"
            )
            raise InputError("tokens", message)
        if not self._free_slots:
            raise InputError("slots", "too many requests at the same time")
        slot = self._free_slots.pop()
        state = self._requests
        state.prompt_tokens[slot], state.output_tokens[slot] = prompt_tokens, output_tokens
        state.cached_tokens[slot] = cached_tokens
        for counts in (state.to_compute, state.computed, state.generated, state.blocks):
            counts[slot] = 0
        join_queue(state, self._replicas, _THE_REPLICA, slot)
        return slot

    def begin_step(self) -> float | None:
        """Plans the next step and tells how long it takes [s]; None where there is nothing to do."""
        duration_s = begin_step(self._requests, self._replicas, _THE_REPLICA, 0.0)
        return None if duration_s == NOTHING_TO_DO else duration_s

    def end_step(self) -> tuple[Ints, Ints]:
        """Ends the step: slots that got an output token, and those of them that are finished and free again."""
        end_step(self._requests, self._replicas, _THE_REPLICA, 0.0)
        emitted = self._replicas.emitted[_THE_REPLICA, : self._replicas.n_emitted[_THE_REPLICA]].copy()
        is_finished = self._requests.generated[emitted] >= self._requests.output_tokens[emitted]
        finished = emitted[is_finished]
        self._free_slots.extend(finished.tolist())
        return emitted, finished

    def abort(self, slot: int) -> None:
        """Forgets a request that is running or waiting; between steps only."""
        forget(self._requests, self._replicas, _THE_REPLICA, slot)
        self._free_slots.append(slot)

    @property
    def running(self) -> int:
        """Requests that are being served."""
        return int(self._replicas.n_running[_THE_REPLICA])

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return int(self._replicas.n_waiting[_THE_REPLICA])

    @property
    def kv_cache_usage_fraction(self) -> float:
        """Share of the KV blocks that are held."""
        return 1 - int(self._replicas.free_blocks[_THE_REPLICA]) / self._blocks if self._blocks else 0.0

    @property
    def preemptions(self) -> int:
        """Requests that had to give their memory back, so far."""
        return int(self._replicas.preemptions[_THE_REPLICA])
