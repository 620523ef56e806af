"""Run directories whose times are drawn from known distributions, whatever this machine does meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.loadtest.sample import Outcome, Sample
from planner.loadtest.summary import Offered, load_point
from planner.loadtest.sweep import result_of
from planner.schema.benchmark import LoadPoint, RequestRecord, Run, RunPoint, Server, Workload
from planner.schema.profile import Engine, Model
from planner.schema.scenario import Slo

WORKLOAD: dict[str, Any] = {
    "endpoint": "chat",
    "input_tokens": "64",
    "output_tokens": "12",
    "arrival": "poisson",
    "duration_s": 30.0,
}
_GAPS, AT_ONCE = 11, 4
"""Gaps between the tokens of each answer, and requests that the server serves at a time in a closed loop."""
Times = NDArray[np.float64]
FIRST_S = 0.05
"""Median time to the first token of a server that is as fast as 1 [s]."""


def closed_loop(users: int, served_s: Times) -> tuple[Times, Times]:
    """When each request is sent, and how long it waits for one of the server's places [s]."""
    free_s, places_s = np.zeros(users), np.zeros(AT_ONCE)
    sent_s, waited_s = np.empty(served_s.size), np.empty(served_s.size)
    for number, lasts_s in enumerate(served_s):
        user, place = int(free_s.argmin()), int(places_s.argmin())
        sent_s[number], begin_s = free_s[user], max(free_s[user], places_s[place])
        waited_s[number] = begin_s - sent_s[number]
        free_s[user] = places_s[place] = begin_s + lasts_s
    return sent_s, waited_s


@dataclass(frozen=True)
class DrawnRun:
    """A server that takes `slowness` times as long for everything, and the loads that it was measured at.

    Attributes:
        loads: users of closed loops as whole numbers, rates of open ones as others [requests/s]; in that order.
        requests: of each.
        is_sweep: whether it found its loads itself.
        changes: of its workload; None where it does not tell of one.
        server: what is told of the server besides.
    """

    name: str
    loads: Sequence[int | float]
    slowness: float = 1.0
    requests: int = 200
    seed: int = 1
    is_sweep: bool = False
    changes: dict[str, Any] | None = field(default_factory=dict)
    slo: dict[str, float] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path) -> str:
        """Writes it below a folder; gives its name."""
        rng, slo = np.random.default_rng(self.seed), Slo(**self.slo)
        (folder / self.name).mkdir()
        points = []
        for number, load in enumerate(self.loads):
            users, rate_per_s = (load, None) if isinstance(load, int) else (None, load)
            records = self._records(rng, users, rate_per_s)
            lines = "".join(record.model_dump_json() + "\n" for record in records)
            (folder / self.name / f"requests-{number:03}.jsonl").write_text(lines)
            points.append(load_point(Offered(rate_per_s, users), Outcome(Sample.of(records)), slo))
        (folder / self.name / "run.json").write_text(self._run(points, slo).model_dump_json(by_alias=True))
        return self.name

    def _records(self, rng: np.random.Generator, users: int | None, rate_per_s: float | None) -> list[RequestRecord]:
        first_s = FIRST_S * self.slowness * rng.lognormal(0, 0.3, self.requests)
        gaps_s = 0.1 * FIRST_S * self.slowness * rng.lognormal(0, 0.2, (self.requests, _GAPS))
        lasts_s = first_s + gaps_s.sum(axis=1)
        if rate_per_s is not None:
            sent_s = np.cumsum(rng.exponential(1 / rate_per_s, self.requests))
        else:
            sent_s, waited_s = closed_loop(users or 1, lasts_s)
            first_s, lasts_s = first_s + waited_s, lasts_s + waited_s
        return [
            RequestRecord(
                index=place,
                due_s=sent_s[place],
                sent_s=sent_s[place],
                first_token_s=sent_s[place] + first_s[place],
                finished_s=sent_s[place] + lasts_s[place],
                asked_input_tokens=64,
                asked_output_tokens=_GAPS + 1,
                input_tokens=64,
                output_tokens=_GAPS + 1,
                outcome="ok",
                gaps_s=gaps_s[place].tolist(),
            )
            for place in range(self.requests)
        ]

    def _run(self, points: Sequence[LoadPoint], slo: Slo) -> Run:
        server = {"url": "http://127.0.0.1", "model": Model(id="m"), "engine": Engine(name="vllm"), **self.server}
        return Run(
            schema="planner.run/1",
            name=self.name,
            basis="emulated",
            started_at="2026-11-25T00:00:00+00:00",
            status="complete",
            server=Server(**server),
            client=None,
            workload=None if self.changes is None else Workload(**(WORKLOAD | self.changes)),
            slo=slo,
            points=[
                RunPoint(requests_file=f"requests-{number:03}.jsonl", metrics=point)
                for number, point in enumerate(points)
            ],
            sweep=result_of(points, slo) if self.is_sweep else None,
        )
