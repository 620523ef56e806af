"""Compilation of the simulator's inner loops to machine code."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """The function as machine code, made at its first call and kept on disk where there is a place for it.

    Numba notices a change of the file that the function stands in, and of no other: what is compiled and calls
    each other belongs into one file.
    """
    try:
        return cast("Function", njit(cache=True)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast("Function", njit(function))
