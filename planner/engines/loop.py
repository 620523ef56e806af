"""The event loop that network code runs on."""

import asyncio
from collections.abc import Callable

from planner.engines.streams import IS_SUPPORTED, StreamLoop


def fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the fastest event loop there is, as `asyncio.Runner` takes it."""
    try:
        import uvloop  # noqa: PLC0415 - there is none on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop


def client_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the event loop that reads many streams fastest."""
    return StreamLoop if IS_SUPPORTED else fastest_loop()
