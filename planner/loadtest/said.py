"""What was said so far in a conversation that is under way."""

import msgspec

from planner.engines.openai_http import Message


class Said:
    """Messages as they stand in a request's body, so that a long conversation is not encoded anew with each turn.

    Only the turns that are still to come hold it: however a conversation ends, it is forgotten with them.

    Example:
        >>> said = Said()
        >>> said.messages({"role": "user", "content": "to be"})
        b'[{"role":"user","content":"to be"}]'
        >>> said.answered({"role": "user", "content": "to be"}, "or not")
        >>> said.messages({"role": "user", "content": "?"}).decode()
        '[{"role":"user","content":"to be"},{"role":"assistant","content":"or not"},{"role":"user","content":"?"}]'
    """

    def __init__(self) -> None:
        self._said = b""

    def messages(self, message: Message) -> bytes:
        """All of it with the user's next message, in JSON."""
        return b"[%s%s]" % (self._said, msgspec.json.encode(message))

    def answered(self, message: Message, answer: str) -> None:
        """Keeps a message and what was answered; one without an answer is as if it had never been asked."""
        both = msgspec.json.encode(message), msgspec.json.encode({"role": "assistant", "content": answer})
        self._said += b"%s,%s," % both
