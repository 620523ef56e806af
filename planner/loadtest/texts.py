"""Texts of a wanted length, of common words in random order: no network, no tokenizer of ours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

_TEXT = """
time year people way day man thing woman life child world school state family student group country problem hand
part place case week company system program question work government number night point home water room mother area
money story fact month lot right study book eye job word business issue side kind head house service friend father
power hour game line end member law car city name team minute idea body back parent face level office door health
person art war history party result change morning reason research girl guy moment air teacher force order foot boy
age policy music market sense table river stone light street paper glass train cloud garden summer winter letter
nation plan road
"""
WORDS = _TEXT.split()
"""As many as a short context holds twice; the first five of a prompt tell 10¹⁰ prompts apart."""


@dataclass(frozen=True)
class Calibration:
    """How many tokens texts have on a server.

    Attributes:
        tokens_per_word: on average over WORDS [tokens].
        fixed_tokens: of the chat template and the start of the text [tokens].
        warning: where this could not be found out, or only on average, and why; empty otherwise.
        requests_sent: how many requests for answers it took [requests].
        word_tokens: of each of WORDS, wherever it stands; 0 for one of which that depends on where it stands. Empty
            where the server does not count texts exactly [tokens].
        added_tokens: what parameters of requests, tools most of all, add to a prompt, however many turns it has
            [tokens].
    """

    tokens_per_word: float = 1.0
    fixed_tokens: float = 0.0
    warning: str = ""
    requests_sent: int = 0
    word_tokens: tuple[int, ...] = ()
    added_tokens: float = 0.0

    def text_tokens(self, prompt_tokens: int, is_first: bool = True) -> int:
        """What is left for the text of a message, at least 1 [tokens].

        Args:
            prompt_tokens: of a message with all that comes with it [tokens].
            is_first: whether what parameters add comes with it; it does not come again with later turns.

        Example:
            >>> found = Calibration(1.25, 10, added_tokens=90)
            >>> found.text_tokens(510), found.text_tokens(510, is_first=False)
            (410, 500)
        """
        return max(1, round(prompt_tokens - self.fixed_tokens - (self.added_tokens if is_first else 0.0)))

    def estimate(self, text: str) -> int:
        """About how many tokens a prompt of somebody's own text has [tokens].

        Example:
            >>> Calibration(1.25, 10).estimate("to be or not")
            15
        """
        return max(1, round(self.fixed_tokens + self.tokens_per_word * len(text.split())))


class Texts:
    """Words in random order, different from the first on for every seed and index, so that no prefix cache helps.

    Where it is known how many tokens each word has, texts have exactly as many as asked. Otherwise each word comes
    equally often, as far as the number allows, so that the tokens per word are those calibrated. A text follows from
    seed and index alone, in whatever order they are asked for, in whichever process.

    Example:
        >>> texts = Texts((1, 0))
        >>> texts.text(4, 7)
        'paper office power game'
        >>> texts.text(4, 8), texts.text(4, 7)
        ('team house question age', 'paper office power game')
    """

    def __init__(self, seed: tuple[int, ...], calibration: Calibration = Calibration()) -> None:
        tokens = calibration.word_tokens or (1,) * len(WORDS)
        self._words = [word for word, count in zip(WORDS, tokens, strict=True) if count]
        self._tokens = np.array([count for count in tokens if count])
        self._short = np.flatnonzero(self._tokens == 1)
        self._is_even = bool(self._short.size == self._tokens.size)
        self._per_word = 1.0 if calibration.word_tokens else calibration.tokens_per_word
        # A counter-based generator is set to a text's numbers in a tenth of the time that a new one takes.
        self._bits = np.random.Philox(key=np.random.SeedSequence(seed).generate_state(2, np.uint64))
        self._rng = np.random.Generator(self._bits)
        self._start = self._bits.state

    def text(self, tokens: int, index: int) -> str:
        """A text of so many tokens; index is below 0 in the warm-up."""
        self._turn_to(index)
        order = self._order(max(1, round(tokens / self._per_word)))
        if not self._is_even:
            order = self._exactly(tokens, order)
        return " ".join([self._words[position] for position in order.tolist()])

    def uniform(self, count: int, index: int) -> list[float]:
        """Random numbers from 0 to 1 in place of a text."""
        self._turn_to(index)
        return list(map(float, self._rng.random(count)))

    def _turn_to(self, index: int) -> None:
        # The high words of the counter number the texts: each has 2¹²⁸ random numbers to itself.
        self._start["state"]["counter"][:] = (0, 0, int(index < 0), abs(index))
        self._bits.state = self._start

    def _order(self, words: int) -> Ints:
        rounds = -(-words // len(self._words))
        return np.concatenate([self._rng.permutation(len(self._words)) for _ in range(rounds)])[:words]

    def _exactly(self, tokens: int, order: Ints) -> Ints:
        """As many words as fit, and words of one token for what is left."""
        so_far = np.cumsum(self._tokens[order])
        fitting = int(np.searchsorted(so_far, tokens, side="right"))
        left = tokens - int(so_far[fitting - 1] if fitting else 0)
        return np.concatenate((order[:fitting], self._rng.permutation(self._short)[:left]))
