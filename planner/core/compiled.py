"""Compilation of the simulator's inner loops to machine code."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, made at its first call and kept on disk where there is a place for it.

    Numba notices a change of the file that the function stands in, and of no other: what is compiled and calls
    each other belongs into one file. What is compiled makes no arrays.
    """
    return _compiled(function)


def inlined(function: Function) -> Function:
    """Likewise, with its code in the place of each call: for small functions that an inner loop calls."""
    return _compiled(function, forceinline=True)


def _compiled(function: Function, **options: Any) -> Function:
    try:
        # Nobody counts references to arrays, of which none is made here: that took more time than all the rest.
        return _kept(function, options | {"_nrt": False})
    except KeyError:  # a Numba without that option: as right, and slower
        return _kept(function, options)


def _kept(function: Function, options: dict[str, Any]) -> Function:
    try:
        return cast("Function", njit(cache=True, **options)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast("Function", njit(**options)(function))
