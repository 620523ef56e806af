"""Prompts of a wanted length, of common words in random order: no network, no tokenizer of ours."""

from dataclasses import dataclass

import numpy as np

from planner.engines.answers import OK, Answer
from planner.engines.openai_http import OpenAIClient

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

_PROBES = (1, 2)
"""How often the probes say all words."""


@dataclass(frozen=True)
class Calibration:
    """How many tokens prompts have on a server.

    Attributes:
        tokens_per_word: on average over WORDS [tokens].
        fixed_tokens: of the chat template and the start of the text [tokens].
        warning: where this could not be found out; empty otherwise.
        requests_sent: how many requests for answers it took [requests].
    """

    tokens_per_word: float = 1.0
    fixed_tokens: float = 0.0
    warning: str = ""
    requests_sent: int = 0

    def words(self, tokens: int) -> int:
        """How many words come nearest to a number of tokens, at least one.

        Example:
            >>> Calibration(1.25, 10).words(510)
            400
        """
        return max(1, round((tokens - self.fixed_tokens) / self.tokens_per_word))


class Prompts:
    """Words in random order, different from the first on for every seed and index, so that no prefix cache helps.

    Each word comes equally often, as far as the number allows, so that the tokens per word are those calibrated. A
    prompt follows from seed and index alone, in whatever order they are asked for, in whichever process.

    Example:
        >>> prompts = Prompts((1, 0))
        >>> prompts.text(4, 7)
        'paper office power game'
        >>> prompts.text(4, 8), prompts.text(4, 7)
        ('team house question age', 'paper office power game')
    """

    def __init__(self, seed: tuple[int, ...]) -> None:
        # A counter-based generator is set to a prompt's numbers in a tenth of the time that a new one takes.
        self._bits = np.random.Philox(key=np.random.SeedSequence(seed).generate_state(2, np.uint64))
        self._rng = np.random.Generator(self._bits)
        self._start = self._bits.state

    def text(self, words: int, index: int) -> str:
        """A prompt of so many words; index is below 0 in the warm-up."""
        # The high words of the counter number the prompts: each has 2¹²⁸ random numbers to itself.
        self._start["state"]["counter"][:] = (0, 0, int(index < 0), abs(index))
        self._bits.state = self._start
        rounds = -(-words // len(WORDS))
        order = np.concatenate([self._rng.permutation(len(WORDS)) for _ in range(rounds)])[:words]
        return " ".join([WORDS[position] for position in order.tolist()])


async def calibrate(client: OpenAIClient, model: str) -> Calibration:
    """Finds out how many tokens a word is: by the server's `/tokenize`, or by the usage of two short requests."""
    counts: list[int] = []
    sent = 0
    for count in (_tokenized, _used):
        sent = len(_PROBES) if count is _used else 0
        counts = [tokens for times in _PROBES if (tokens := await count(client, model, " ".join(WORDS * times)))]
        if len(counts) == len(_PROBES):
            break
    else:
        told = "the server counts no prompt tokens: prompts have as many words as tokens asked"
        return Calibration(warning=told, requests_sent=sent)
    per_word = (counts[1] - counts[0]) / len(WORDS)
    if not 0.2 <= per_word <= 20:
        told = f"the server counts {per_word:.3g} tokens per word, which cannot be: taken as 1"
        return Calibration(warning=told, requests_sent=sent)
    return Calibration(per_word, max(0.0, counts[0] - per_word * len(WORDS)), requests_sent=sent)


async def _tokenized(client: OpenAIClient, model: str, text: str) -> int | None:
    what = {"messages": [{"role": "user", "content": text}]} if client.endpoint == "chat" else {"prompt": text}
    try:
        reply = await client.post("/tokenize", {"model": model, **what})
    except OSError:
        return None
    count = reply.body.get("count") if reply.status == 200 and isinstance(reply.body, dict) else None
    return count if isinstance(count, int) else None


async def _used(client: OpenAIClient, model: str, text: str) -> int | None:
    answer = Answer()
    await client.ask(client.body(model, text, 1), answer)
    return answer.input_tokens if answer.outcome == OK else None
