"""Requests between HTTP and the engine: let in, sent token by token, recorded."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.core.scheduler import Scheduler
from planner.engines.emulator.answers import Vocabulary
from planner.engines.emulator.bodies import Demand, RequestRefusedError
from planner.engines.emulator.clock import EngineThread, Job, Step
from planner.engines.emulator.metrics import Metrics
from planner.errors import PlannerError
from planner.schema.profile import Profile

MOST_REQUESTS = 4096
"""That may be running or waiting at the same time; more are refused."""
TOO_LATE_S = 0.1
"""From here on this machine is too slow for the profile, and the user is told at once."""

Record = Callable[[Mapping[str, Any]], None]


class Service:
    """A profile's engine, and everything that the endpoints share.

    Args:
        profile: whose timing to keep.
        seed: of the words in the answers.
        record: is given a line about every request once it is over.
        warn: told once where times cannot be kept.
        adapters: further names that the model is served by, as LoRA adapters are.
    """

    def __init__(
        self,
        profile: Profile,
        seed: int,
        record: Record | None,
        warn: Callable[[str], None],
        adapters: Sequence[str] = (),
    ) -> None:
        self.model = profile.model.id if profile.model else profile.name
        self.models = (self.model, *adapters)
        self.limits = profile.limits
        self.vocabulary = Vocabulary(seed)
        self.metrics = Metrics(self.model, profile.limits)
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Set once the service is to end; holds the error where the engine has failed."""
        self._overhead_s = profile.request_overhead_s
        self._record = record
        self._warn = warn
        self._has_warned = False
        self._outstanding = 0
        scheduler = Scheduler(profile.step_time_s, profile.limits, MOST_REQUESTS)
        loop = asyncio.get_running_loop()
        self._engine = EngineThread(scheduler, profile.step_time_s.base, loop, self._deliver, self._fail)
        self._engine.start()

    def stop(self) -> None:
        """Stops the engine."""
        self._engine.stop()
        self.end()

    def end(self) -> None:
        """Asks whoever waits for `ended` to stop the service."""
        if not self.ended.done():
            self.ended.set_result(None)

    def metrics_text(self) -> bytes:
        """What /metrics answers."""
        return self.metrics.text(self._engine.load)

    def check_model(self, model: str | None) -> None:
        """Raises where a request names another model.

        Raises:
            RequestRefusedError: it does.
        """
        if model is not None and model not in self.models:
            raise RequestRefusedError(404, f"The model `{model}` does not exist.", "model")

    def check_room(self) -> None:
        """Raises where one request more would be too many.

        Raises:
            RequestRefusedError: as many as possible are running or waiting.
        """
        if self._outstanding >= MOST_REQUESTS:
            raise RequestRefusedError(503, f"{MOST_REQUESTS} requests are running or waiting; try again later")

    async def generate(self, request_id: str, demand: Demand, received_s: float, send: Callable[[], bool]) -> None:
        """Has the tokens of a request generated.

        Args:
            request_id: for the record.
            demand: what is asked for.
            received_s: when all of the request was there (time.monotonic) [s].
            send: sends the next token to the client, and tells whether it could; called once per token.
        """
        sent_s: list[float] = []

        def emit() -> None:
            if send():
                sent_s.append(time.monotonic())

        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # What this server itself took so far does not count: the profile says what serving takes.
        arrived_s = received_s + self._overhead_s
        job = Job(demand.prompt_tokens, demand.output_tokens, emit, done, received_s, arrived_s)
        self._outstanding += 1
        self._engine.submit(job)
        outcome = "aborted"
        try:
            await job.done
            outcome = "finished"
        finally:
            if outcome == "aborted":
                self._engine.abort(job)
            self._note(
                {
                    "request_id": request_id,
                    "received_monotonic_s": received_s,
                    "joined_monotonic_s": job.joined_s,
                    "token_monotonic_s": sent_s,
                    "prompt_tokens": demand.prompt_tokens,
                    "output_tokens": len(sent_s),
                    "outcome": outcome,
                }
            )

    def _note(self, line: Mapping[str, Any]) -> None:
        if self._record is None:
            return
        try:
            self._record(line)
        except PlannerError as error:  # a full disk ends the service; a record with gaps would mislead
            self._fail(error)

    def _deliver(self, step: Step) -> None:
        for job in step.emitted:
            if not job.is_abandoned:
                job.emit()
        for job in step.finished:
            if not job.done.done():
                job.done.set_result(None)
        self._outstanding -= len(step.finished) + len(step.aborted)
        self.metrics.observe(step)
        if self.metrics.lateness_max_s > TOO_LATE_S and not self._has_warned:
            self._has_warned = True
            self._warn("this machine is too slow for the profile: tokens are more than 0.1 s late")

    def _fail(self, error: BaseException) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)
