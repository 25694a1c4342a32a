"""Builds the messages of a chat completion from a conversation that other dialects cut into other pieces."""

Parts = list[dict[str, object]]


class Talk:
    """Says one thing after another; what chat wants in one message is put into one.

    Texts of the system before anything else become one message: many templates take one, at the beginning. A turn of
    the assistant holds its text and all its calls. Images that a function gave back follow its results as a message of
    the user, since a result is text in chat.
    """

    def __init__(self) -> None:
        self._messages: list[dict[str, object]] = []
        self._opening: list[str] = []
        self._turn: dict[str, object] | None = None
        self._calls: list[dict[str, object]] = []
        self._images: Parts = []

    def messages(self) -> list[dict[str, object]]:
        """All that was said."""
        self._end_turn()
        if not self._opening:
            return self._messages
        return [{"role": "system", "content": "\n\n".join(self._opening)}, *self._messages]

    def system(self, text: str) -> None:
        """Instructions."""
        self._end_turn()
        if self._messages:
            self._messages.append({"role": "system", "content": text})
        else:
            self._opening.append(text)

    def user(self, parts: Parts) -> None:
        """A message of the user."""
        self._end_turn()
        is_text = len(parts) == 1 and parts[0]["type"] == "text"
        content = parts[0]["text"] if is_text else parts or ""
        self._messages.append({"role": "user", "content": content})

    def assistant(self, text: str) -> None:
        """A text of the assistant: the beginning of its turn, or more of one that has called already."""
        if self._turn is not None and self._calls:
            # A message of its own would stand between the calls and their results, where chat takes none.
            said = self._turn["content"]
            self._turn["content"] = f"{said}\n\n{text}" if said else text
            return
        self._end_turn()
        self._turn = {"role": "assistant", "content": text}
        self._messages.append(self._turn)

    def call(self, call_id: str, name: str, arguments: str) -> None:
        """A call of a function, as part of the turn."""
        if self._turn is None:
            self._end_turn()
            self._turn = {"role": "assistant", "content": ""}
            self._messages.append(self._turn)
        if not self._calls:
            self._turn["tool_calls"] = self._calls
        self._calls.append({"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}})

    def result(self, call_id: str, parts: Parts) -> None:
        """What a function gave back."""
        self._turn, self._calls = None, []
        texts = [str(part["text"]) for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] != "text"]
        if others:
            self._images += [{"type": "text", "text": f"What the call {call_id} returned beside text:"}, *others]
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": "\n".join(texts)})

    def _end_turn(self) -> None:
        self._turn, self._calls = None, []
        if self._images:
            self._messages.append({"role": "user", "content": self._images})
            self._images = []
