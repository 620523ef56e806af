"""What makes a load point the one it is, so that a run that goes on knows which are done."""

import hashlib
import json

import numpy as np

from planner.loadtest.schedule import Requests, Schedule


def point_key(model: str, endpoint: str, seed: tuple[int, int], schedule: Schedule, identity: str = "") -> str:
    """Hash of what is asked of whom, in hexadecimal.

    The schedule is in it as drawn, not as its options name it: an edited trace, or arrivals that another version draws
    otherwise, make another point.

    Args:
        model: that is asked.
        endpoint: likewise.
        seed: of the run, and the place of the point in it.
        schedule: of the point.
        identity: what makes the requests the ones they are, where a file says it.
    """
    rate = schedule.offered_requests_per_s
    asked = {
        "model": model,
        "endpoint": endpoint,
        "seed": seed,
        "concurrency": schedule.concurrency,
        "requests_per_s": None if rate is None else f"{rate:.9g}",
        "warmup_s": schedule.warmup_s,
        "duration_s": schedule.duration_s,
    }
    if schedule.most_counted is not None:
        asked["most_counted"] = schedule.most_counted
    if identity:
        asked["made_of"] = identity  # under the name that keys of earlier runs have
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode())
    for requests in (schedule.warmup, schedule.measured):
        _add(digest, requests)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", requests: Requests) -> None:
    for time_s in (requests.due_s, requests.think_s):
        # Microseconds, as in the file of a schedule: the last bits of a logarithm are not the same on every machine.
        whole = np.empty(0) if time_s is None else np.rint(time_s * 1e6)
        digest.update(b"%d:" % whole.size + whole.astype("<i8").tobytes())
    rows = () if requests.rows is None else (requests.rows,)
    turns = () if requests.turns is None else (requests.turns.turn,)
    for tokens in (requests.input_tokens, requests.output_tokens, *rows, *turns):
        digest.update(b"%d:" % tokens.size + tokens.astype("<i4").tobytes())
