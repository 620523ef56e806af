"""Which model each request asks, and which shared prefix it begins with."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from planner.core.quantiles import Ints
from planner.loadtest.recipe import Recipe

_STREAM = 2
"""Of random numbers, besides those of texts."""
_BLOCK = 4096
"""Requests that are chosen for at a time."""
_BLOCKS_KEPT = 8
NO_PREFIX = -1


class Choices:
    """What follows from the seed and a request's place alone, so that the schedule can know it before it is sent.

    Places are below 0 in the warm-up; all turns of a conversation have one.

    Example:
        >>> from planner.schema.workload import SharedPrefix
        >>> choices = Choices((1, 0), Recipe(prefix=SharedPrefix(tokens=9, distinct=3, fraction=0.5)))
        >>> choices.prefixes(6).tolist() == [choices.prefix(place) for place in range(6)]
        True
    """

    def __init__(self, seed: tuple[int, ...], recipe: Recipe) -> None:
        """Of a load.

        Args:
            seed: of the run first, and the number of the load last; what stands between changes texts alone.
            recipe: of requests. Where text is to come from a cache, all loads choose alike.
        """
        of_load = (seed[0], seed[-1]) if recipe.is_cache_busting else seed[:1]
        self._key = np.random.SeedSequence((*of_load, _STREAM)).generate_state(2, np.uint64)
        self._names = tuple(recipe.models)
        shares = np.cumsum(list(recipe.models.values()))
        self._shares = shares / shares[-1] if shares.size else shares
        self._recipe = recipe
        self._block = lru_cache(_BLOCKS_KEPT)(self._drawn)

    def model(self, place: int, measured: str) -> str:
        """Whom a request asks: one of those with shares, or the one that is measured."""
        if not self._names:
            return measured
        return self._names[int(np.searchsorted(self._shares, self._numbers(place)[0], side="right"))]

    def prefix(self, place: int) -> int:
        """The number of the prefix that a request begins with, or NO_PREFIX."""
        return NO_PREFIX if self._recipe.prefix is None else int(self._prefixes(self._numbers(place)))

    def prefixes(self, count: int, is_warmup: bool = False) -> Ints:
        """Those of the first so many places, shape (count,)."""
        blocks = [self._block(number, is_warmup) for number in range(-(-count // _BLOCK))]
        numbers = np.concatenate(blocks)[:count] if blocks else np.empty((0, 3))
        return self._prefixes(numbers)

    def _prefixes(self, numbers: NDArray[np.float64]) -> Ints:
        prefix = self._recipe.prefix
        if prefix is None:
            return np.full(numbers.shape[:-1], NO_PREFIX, dtype=np.int64)
        which = (numbers[..., 2] * prefix.distinct).astype(np.int64)
        return np.where(numbers[..., 1] < prefix.fraction, which, NO_PREFIX)

    def _numbers(self, place: int) -> NDArray[np.float64]:
        block, number = divmod(-1 - place if place < 0 else place, _BLOCK)
        numbers: NDArray[np.float64] = self._block(block, place < 0)[number]
        return numbers

    def _drawn(self, block: int, is_warmup: bool) -> NDArray[np.float64]:
        """Random numbers from 0 to 1 for the model, for whether there is a prefix, and for which, shape (_BLOCK, 3)."""
        # The high words of the counter number the blocks: each has 2¹²⁸ random numbers to itself.
        bits = np.random.Philox(key=self._key, counter=(0, 0, int(is_warmup), block))
        return np.random.Generator(bits).random((_BLOCK, 3))
