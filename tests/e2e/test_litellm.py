"""The real LiteLLM proxy between the edge and the real model: what the official SDK gets of it, and what that costs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from kit.money import cost_nanos, parse_usd
from tests.support.customers import Customer, customer
from tests.support.litellm import lend_to
from tests.support.stack import RunningStack, running_stack, until

PROMPT = "Say hello to the lighthouse keeper."
ASKED: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": PROMPT}]
FAST_NANOS = (100_000_000, 300_000_000)
EMBED_NANOS = 50_000_000

# LiteLLM compiles itself at its first start on a machine.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack of `UPSTREAM_KIND=litellm make up`."""
    home = tmp_path_factory.mktemp("litellm") / "home"
    lend_to(home)
    with running_stack(home, UPSTREAM_KIND="litellm") as running:
        yield running


@pytest.fixture
def carol(proxied: RunningStack) -> Iterator[Customer]:
    """Somebody who has just signed up on it."""
    with customer(proxied) as someone:
        yield someone


@pytest.fixture
def sdk(carol: Customer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=carol.v1, api_key=carol.key, max_retries=0) as made:
        yield made


def chat_nanos(usage: openai.types.CompletionUsage | None) -> int:
    """What the answer's own usage costs; a cached token costs what any other does."""
    assert usage
    return cost_nanos((usage.prompt_tokens, FAST_NANOS[0]), (usage.completion_tokens, FAST_NANOS[1]))


def billed(someone: Customer, nanos: int) -> bool:
    """Whether the one request is booked at exactly this, in its row and in the balance."""
    rows = someone.all_of("/api/usage")
    return [parse_usd(row["cost_usd"]) for row in rows] == [nanos] and someone.balance_nanos() == 10**9 - nanos


def test_the_ready_line_says_what_stands_in_front_of_the_model(proxied: RunningStack) -> None:
    line = next(line for line in proxied.output().splitlines() if line.startswith("PrivateRouter is ready"))
    assert line.endswith(
        "all five chat names route to one small model, SmolLM2-135M, with LiteLLM in front of it (virtual keys: off). "
        "Ctrl-C stops it."
    )


def test_a_chat_is_billed_by_its_usage(carol: Customer, sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.with_raw_response.create(model="privaterouter/fast", messages=ASKED, max_tokens=8)
    said = answer.parse()
    assert said.model == "privaterouter/fast"
    assert said.choices[0].message.content
    nanos = chat_nanos(said.usage)
    assert parse_usd(answer.headers["x-privaterouter-cost-usd"]) == nanos > 0
    until(lambda: billed(carol, nanos))
    assert "litellm" not in str(answer.headers).lower()


def test_a_stream_is_billed_by_its_usage(carol: Customer, sdk: openai.OpenAI) -> None:
    chunks = list(
        sdk.chat.completions.create(
            model="privaterouter/fast",
            messages=ASKED,
            max_tokens=8,
            stream=True,
            stream_options={"include_usage": True},
            metadata={"mine": "kept"},
        )
    )
    assert {chunk.model for chunk in chunks} == {"privaterouter/fast"}
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices and chunk.choices[0].finish_reason]
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    until(lambda: billed(carol, chat_nanos(usage)))


def test_a_stream_that_did_not_ask_for_usage_shows_none_and_is_billed_all_the_same(
    carol: Customer, sdk: openai.OpenAI
) -> None:
    """LiteLLM sends the usage with a last choice that says nothing, where OpenAI sends none."""
    chunks = list(sdk.chat.completions.create(model="privaterouter/fast", messages=ASKED, max_tokens=8, stream=True))
    assert [chunk.usage for chunk in chunks if chunk.usage] == []
    until(lambda: carol.balance_nanos() < 10**9)
    (row,) = carol.all_of("/api/usage")
    assert (row["output_tokens"], row["estimated"]) == (8, False)


def test_an_embedding_is_billed_by_its_usage(carol: Customer, sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="privaterouter/embed", input=[PROMPT, "short"])
    assert (answer.model, len(answer.data)) == ("privaterouter/embed", 2)
    assert len(answer.data[0].embedding) > 100
    nanos = cost_nanos((answer.usage.prompt_tokens, EMBED_NANOS))
    until(lambda: billed(carol, nanos))


def test_a_prompt_beyond_the_context_is_the_callers_mistake_and_costs_nothing(
    carol: Customer, sdk: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(
            model="privaterouter/fast", messages=[{"role": "user", "content": "word " * 9000}], max_tokens=8
        )
    assert "context" in refused.value.message
    assert not [name for name in ("smollm", "gemma", "127.0.0.1") if name in refused.value.message.lower()]
    assert carol.balance_nanos() == 10**9


def test_its_log_has_no_prompts_and_its_home_is_the_stacks(proxied: RunningStack) -> None:
    logged = (proxied.home.logs / "litellm.log").read_text()
    assert "lighthouse" not in logged
    assert {file.name for file in proxied.home.litellm.iterdir()} >= {"venv", "config.yaml"}
    assert proxied.places.litellm_url.startswith("http://127.0.0.1:")


def test_seeding_it_again_changes_nothing(proxied: RunningStack) -> None:
    assert proxied.command("seed", UPSTREAM_KIND="litellm").stdout.startswith("Catalogue up to date:")


def test_its_death_stops_the_stack_and_is_named_with_its_log(proxied: RunningStack) -> None:
    """The last of this file, since nothing runs after it."""
    (pid,) = [
        int(found.parent.name)
        for found in Path("/proc").glob("[0-9]*/cmdline")
        if b"litellm.proxy.proxy_server:app" in found.read_bytes()
        and str(proxied.home.root).encode() in (found.parent / "environ").read_bytes()
    ]
    os.kill(pid, signal.SIGKILL)
    assert proxied.process.wait(60) == 1
    assert f"LiteLLM was killed by SIGKILL. Its log: {proxied.home.logs / 'litellm.log'}" in proxied.output()
