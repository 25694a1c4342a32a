"""Ollama's answers: what is read of them, and what is left out of hostile ones."""

import json
from typing import Any

import pytest

from kit.ollama import MAX_MODELS, Installed, NoOllama, canonical, pull_command, read_ps, read_show, read_tags, short
from tests.support.ollama_models import models

QWEN = models()[1]


def tags(*entries: Any) -> bytes:
    return json.dumps({"models": entries}).encode()


@pytest.mark.parametrize(
    "name", ["qwen3", "qwen3:latest", "library/qwen3", "registry.ollama.ai/library/qwen3:latest", "Qwen3"]
)
def test_a_model_has_one_canonical_name_however_it_is_written(name: str) -> None:
    assert canonical(name) == "qwen3:latest"


@pytest.mark.parametrize(
    "name, written, shortest",
    [
        ("qwen3:0.6b", "qwen3:0.6b", "qwen3:0.6b"),
        ("hf.co/them/Model-GGUF:Q4_K_M", "hf.co/them/model-gguf:q4_k_m", "hf.co/them/Model-GGUF:Q4_K_M"),
        ("host:5000/them/model", "host:5000/them/model:latest", "host:5000/them/model"),
        ("registry.ollama.ai/library/gemma4:latest", "gemma4:latest", "gemma4"),
    ],
)
def test_tags_hosts_and_namespaces_are_part_of_the_name(name: str, written: str, shortest: str) -> None:
    assert (canonical(name), short(name)) == (written, shortest)


def test_what_is_installed_is_read_from_the_documented_shape() -> None:
    assert read_tags(tags(QWEN.tag())) == (
        Installed(
            name="qwen3:0.6b",
            size_bytes=2_019_393_189,
            family="qwen3",
            parameter_size="751.63M",
            quantisation="Q4_K_M",
        ),
    )


def test_a_model_of_the_cloud_is_told_from_one_that_runs_here() -> None:
    cloud = {"name": "gpt-oss:120b-cloud", "remote_host": "https://ollama.com:443", "remote_model": "gpt-oss:120b"}
    assert [model.is_remote for model in read_tags(tags(cloud, QWEN.tag()))] == [True, False]


def test_what_runs_is_named_canonically() -> None:
    assert read_ps(tags(*(model.running() for model in models()))) == {
        "gemma4:latest",
        "qwen3:0.6b",
        "nomic-embed-text:latest",
    }


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>no</html>", b"[]", b"{}", b'{"models": {}}', b'{"models": 5}', b"\xff\xfe", b"[" * 100_000, b"null"],
)
def test_what_is_no_answer_of_ollama_is_told_apart(body: bytes) -> None:
    with pytest.raises(NoOllama):
        read_tags(body)


def test_no_models_at_all_is_an_answer() -> None:
    assert read_tags(b'{"models": null}') == read_tags(b'{"models": []}') == ()


@pytest.mark.parametrize(
    "entry",
    [
        5,
        None,
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "x\x1b[2J"},
        {"name": "../../etc/passwd"},
        {"name": "x" * 300},
        {"name": 7},
        {"name": "x", "size": "big"},
        {"name": "x", "details": []},
    ],
)
def test_an_entry_without_sense_is_left_out_and_the_others_stay(entry: Any) -> None:
    assert [model.name for model in read_tags(tags(entry, QWEN.tag()))] == ["qwen3:0.6b"]


def test_a_list_without_end_is_cut() -> None:
    assert len(read_tags(tags(*({"name": f"m{number}"} for number in range(MAX_MODELS + 5))))) == MAX_MODELS


def test_texts_hold_nothing_that_a_terminal_would_obey() -> None:
    entry = {"name": "x", "size": -5, "details": {"family": "\x1b[31mred\n", "parameter_size": "9" * 500}}
    (model,) = read_tags(tags(entry))
    assert (model.family, len(model.parameter_size), model.size_bytes) == ("[31mred", 64, 0)


def test_a_model_shows_its_context_width_and_capabilities() -> None:
    shown = read_show(json.dumps(QWEN.show()).encode())
    assert (shown.context_tokens, shown.dimensions) == (40_960, 2048)
    assert shown.capabilities == {"completion", "tools", "thinking"}


def test_the_context_of_the_modelfile_wins() -> None:
    body = QWEN.show() | {"parameters": 'stop    "num_ctx 5"\nnum_ctx                        16384\n'}
    assert read_show(json.dumps(body).encode()).context_tokens == 16_384


@pytest.mark.parametrize("said", [-1, 0, 2**40, "8192", None, 1.5, []])
def test_a_context_that_makes_no_sense_is_not_known(said: Any) -> None:
    body = {"model_info": {"general.architecture": "llama", "llama.context_length": said}}
    assert read_show(json.dumps(body).encode()).context_tokens == 0


@pytest.mark.parametrize("architecture, capability", [("llama", "completion"), ("nomic-bert", "embedding")])
def test_an_old_ollama_that_tells_no_capabilities_is_judged_by_the_architecture(
    architecture: str, capability: str
) -> None:
    body = json.dumps({"model_info": {"general.architecture": architecture}}).encode()
    assert read_show(body).capabilities == {capability}


def test_the_command_that_mends_is_safe_to_paste() -> None:
    assert pull_command("qwen3:0.6b") == "ollama pull qwen3:0.6b"
    assert pull_command("x; rm -rf /") == "ollama pull 'x; rm -rf /'"
