"""The embedded model: real answers through OpenAI's API, for chat and for embeddings."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.model import CHAT_MODEL, EMBED_DIMENSIONS, Model
from deploy.local.process import StackError
from tests.support.stack import until


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Model]]:
    directory = tmp_path_factory.mktemp("models")
    found = {kind: Model(kind, directory, log=directory / f"{kind}.log") for kind in ("chat", "embed")}
    try:
        for model in found.values():
            model.start()
        yield found
    finally:
        for model in found.values():
            model.stop()


def post(url: str, **body: object) -> Any:
    answer = httpx.post(url, json={"model": CHAT_MODEL, **body}, timeout=60)
    answer.raise_for_status()
    return answer.json()


def test_the_chat_model_answers_and_counts_its_tokens(models: dict[str, Model]) -> None:
    url = f"{models['chat'].url}/v1/chat/completions"
    answer = post(url, messages=[{"role": "user", "content": "Say hi."}], max_tokens=5)
    assert answer["model"] == CHAT_MODEL
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + answer["usage"]["completion_tokens"]


def test_the_embedding_model_embeds_the_same_text_the_same_way(models: dict[str, Model]) -> None:
    url = f"{models['embed'].url}/v1/embeddings"
    first = post(url, input="Vectors are nice")
    both = post(url, input=["Vectors are nice", "something else"])
    assert len(first["data"][0]["embedding"]) == EMBED_DIMENSIONS
    assert both["data"][0]["embedding"] == pytest.approx(first["data"][0]["embedding"], abs=1e-3)
    assert both["data"][1]["embedding"] != pytest.approx(first["data"][0]["embedding"], abs=1e-3)
    assert first["usage"]["prompt_tokens"] > 0


def test_an_input_longer_than_one_batch_is_embedded_and_one_beyond_the_context_is_the_callers_mistake(
    models: dict[str, Model],
) -> None:
    url = f"{models['embed'].url}/v1/embeddings"
    assert post(url, input="word " * 400)["usage"]["prompt_tokens"] > 300
    with pytest.raises(httpx.HTTPStatusError) as refused:
        post(url, input="word " * 9000)
    assert refused.value.response.status_code == 400


def test_a_model_that_dies_is_noticed(tmp_path: Path) -> None:
    model = Model("chat", tmp_path, log=tmp_path / "chat.log")
    model.start()
    try:
        assert model.is_ready()
        os.kill(model.child.pid, signal.SIGKILL)
        until(lambda: model.child.exit_code() is not None)
        with pytest.raises(StackError, match="the chat model was killed by SIGKILL"):
            model.is_ready()
    finally:
        model.stop()


def test_stopping_takes_the_address_back(tmp_path: Path) -> None:
    model = Model("embed", tmp_path, log=tmp_path / "embed.log")
    model.start()
    url = model.url
    model.stop()
    assert not list(tmp_path.glob("*.address"))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/health")
