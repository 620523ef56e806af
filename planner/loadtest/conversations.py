"""What was said so far in conversations that are under way."""

import msgspec

from planner.engines.openai_http import Message


class Conversations:
    """Messages as they stand in a request's body, so that a long conversation is not encoded anew with each turn.

    Example:
        >>> said = Conversations()
        >>> said.messages(3, {"role": "user", "content": "to be"})
        b'[{"role":"user","content":"to be"}]'
        >>> said.answered(3, {"role": "user", "content": "to be"}, "or not")
        >>> said.messages(3, {"role": "user", "content": "?"}).decode()
        '[{"role":"user","content":"to be"},{"role":"assistant","content":"or not"},{"role":"user","content":"?"}]'
    """

    def __init__(self) -> None:
        self._said: dict[int, bytes] = {}

    def messages(self, conversation: int, message: Message) -> bytes:
        """All of a conversation with the user's next message, in JSON."""
        return b"[%s%s]" % (self._said.get(conversation, b""), msgspec.json.encode(message))

    def answered(self, conversation: int, message: Message, answer: str) -> None:
        """Keeps a message and what was answered; one without an answer is as if it had never been asked."""
        both = msgspec.json.encode(message), msgspec.json.encode({"role": "assistant", "content": answer})
        self._said[conversation] = self._said.get(conversation, b"") + b"%s,%s," % both

    def end(self, conversation: int) -> None:
        """Forgets a conversation."""
        self._said.pop(conversation, None)
