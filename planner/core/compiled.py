"""Compilation of the simulator's inner loops to machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])

_OPTIONS = {"_nrt": False} if hasattr(numba.core.cpu.CPUTargetOptions, "_nrt") else {}
"""Nobody counts references to arrays, of which none is made here: that took more time than all the rest. The option is
none that Numba promises to keep; without it, all is as right, and slower."""


def compiled(function: Function) -> Function:
    """The function as machine code, made at its first call and kept on disk where there is a place for it.

    Numba notices a change of the file that the function stands in, and of no other: what is compiled and calls
    each other belongs into one file. What is compiled makes no arrays.
    """
    return _compiled(function, is_inlined=False)


def inlined(function: Function) -> Function:
    """Likewise, with its code in the place of each call: for small functions that an inner loop calls."""
    return _compiled(function, is_inlined=True)


def _compiled(function: Function, is_inlined: bool) -> Function:
    options: dict[str, Any] = {**_OPTIONS, "forceinline": is_inlined}
    try:
        return cast("Function", numba.njit(cache=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast("Function", numba.njit(**options)(function))
