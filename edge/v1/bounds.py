"""The highest cost that a request can have, known before it runs: the bounds that its money is held for.

A byte-level tokenizer never makes more tokens than bytes, so the bytes of the body bound the prompt; what a chat
template, tools or images add is a constant of the model. The output bound is the limit that is sent upstream.
"""

from typing import Final

import msgspec

from edge.lookup.catalogue import Model
from edge.v1.inputs import ChatInputs, CompletionInputs, EmbeddingInputs, count_answers, count_images, count_items
from kit.money import TOKENS_PER_MTOK, cost_nanos

LEAST_OUTPUT_TOKENS: Final = 256
"""An answer that is cut shorter than this for want of money is refused instead (unless less was asked for)."""
DESCRIBED_TOOL_TOKENS: Final = 2048
"""More than a server's own description of a tool has that a client only names by its type.

Anthropic's longest is that of computer use: 735 tokens, and 499 for the system prompt that comes with it
(https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/computer-use-tool).
"""


class Bounds(msgspec.Struct, frozen=True):
    """Token bounds of one request: of the prompt, of each answer, and how many answers there are.

    `prompt_estimate` is our count of the prompt, for when the upstream does not say: a fifth of its bytes, plus
    the constants.
    """

    prompt_tokens: int
    prompt_estimate: int
    limit_tokens: int
    answers: int
    choices: int
    """How many of the answers are shown: `best_of` makes more than it shows."""

    @property
    def output_tokens(self) -> int:
        """The highest number of output tokens, over all answers."""
        return self.limit_tokens * self.answers

    def full_nanos(self, model: Model) -> int:
        """What must be held for the whole of it."""
        return _cost(self, model, self.limit_tokens)

    def least_nanos(self, model: Model) -> int:
        """What the least useful answer would cost."""
        return _cost(self, model, min(self.limit_tokens, LEAST_OUTPUT_TOKENS))

    def affordable_limit(self, model: Model, held_nanos: int) -> int:
        """Output tokens of each answer that `held_nanos` pays for, at most the limit that was asked for."""
        price = model.price.output_nanos_per_mtok
        if price == 0 or self.answers == 0:
            return self.limit_tokens
        left = held_nanos * TOKENS_PER_MTOK - self.prompt_tokens * _input_price(model)
        return max(0, min(self.limit_tokens, left // (price * self.answers)))


def _input_price(model: Model) -> int:
    """The dearest class that a prompt token can be of."""
    price = model.price
    return max(price.input_nanos_per_mtok, price.cached_input_nanos_per_mtok, price.cache_write_input_nanos_per_mtok)


def _cost(bounds: Bounds, model: Model, limit_tokens: int) -> int:
    return cost_nanos(
        (bounds.prompt_tokens, _input_price(model)),
        (limit_tokens * bounds.answers, model.price.output_nanos_per_mtok),
    )


def _limit(inputs: ChatInputs | CompletionInputs, model: Model) -> int:
    asked = max(inputs.max_tokens or 0, inputs.max_completion_tokens or 0)
    return min(asked, model.max_output_tokens) if asked else model.max_output_tokens


def bound_chat(inputs: ChatInputs, model: Model, body_bytes: int, *, described_tools: int = 0) -> Bounds:
    """Bounds of a chat completion, or of what is asked in another dialect with so many tools that a server describes.

    The estimate leaves those out: nobody pays for words that we only guess at.
    """
    text_bytes, constants = _measure_chat(inputs, model, body_bytes)
    most = text_bytes + constants + described_tools * DESCRIBED_TOOL_TOKENS
    return Bounds(
        prompt_tokens=min(model.context_tokens, most),
        prompt_estimate=min(model.context_tokens, text_bytes // 5 + constants),
        limit_tokens=_limit(inputs, model),
        answers=max(inputs.n or 1, inputs.best_of or 1),
        choices=inputs.n or 1,
    )


def estimate_chat(inputs: ChatInputs, model: Model, body_bytes: int) -> int:
    """Our count of the prompt of a chat completion, however long it is."""
    text_bytes, constants = _measure_chat(inputs, model, body_bytes)
    return text_bytes // 5 + constants


def _measure_chat(inputs: ChatInputs, model: Model, body_bytes: int) -> tuple[int, int]:
    """Bytes of text, and the tokens of all else."""
    images, link_bytes = count_images(inputs.messages)
    shaped = any(bytes(raw) != b"null" for raw in (inputs.tools, inputs.functions, inputs.response_format))
    constants = model.template_tokens + (model.tools_tokens if shaped else 0) + images * model.image_tokens
    return max(0, body_bytes - link_bytes), constants


def bound_completion(inputs: CompletionInputs, model: Model, body_bytes: int) -> Bounds:
    """Bounds of a completion of one or more prompts."""
    prompts = count_items(inputs.prompt, field="prompt")
    tokens, estimate = _bound_items(prompts, model, body_bytes)
    answers = count_answers(inputs, prompts)
    return Bounds(tokens, estimate, _limit(inputs, model), answers, choices=(inputs.n or 1) * prompts)


def bound_embedding(inputs: EmbeddingInputs, model: Model, body_bytes: int) -> Bounds:
    """Bounds of an embedding of one or more inputs: there is no output."""
    tokens, estimate = _bound_items(count_items(inputs.input, field="input"), model, body_bytes)
    return Bounds(tokens, estimate, limit_tokens=0, answers=0, choices=0)


def _bound_items(items: int, model: Model, body_bytes: int) -> tuple[int, int]:
    constants = model.template_tokens * items
    most = model.context_tokens * items
    return min(most, body_bytes + constants), min(most, body_bytes // 5 + constants)
