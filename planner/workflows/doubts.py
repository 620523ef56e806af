"""Why a load point must not be trusted, wherever it is used."""

from collections.abc import Iterator

from planner.schema.benchmark import LoadPoint


def doubts(point: LoadPoint, max_error_fraction: float) -> Iterator[str]:
    """Each reason in plain words.

    Args:
        point: as measured.
        max_error_fraction: share of the requests that may fail.
    """
    if point.client is not None and point.client.is_saturated:
        yield "the client was the bottleneck: its latencies are partly its own; --processes gives it more cores"
    yield from point.doubts
    for model, count in point.other_models.items():
        yield f"{count} answers are by another model than the one asked: {model}"
    failed, sent = point.requests.failed, point.requests.sent
    if failed > max_error_fraction * sent:
        yield f"{failed} of {sent} requests failed; --max-error-fraction allows {max_error_fraction:g}"
