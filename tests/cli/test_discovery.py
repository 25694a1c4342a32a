"""`admin discover`: what an Ollama has and the catalogue lacks, and the other way round."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cli.discovered import choose_upstream
from cli.errors import CommandError
from privaterouter.catalog.v1 import catalog_pb2
from tests.cli.test_catalogue import items
from tests.support.processes import fake_ollama, renewed
from tests.support.stack import RunningStack, until

PRICE = ("--input-usd", "0.10", "--output-usd", "0.30")
LLAMA = {"name": "llama3.2:latest", "family": "llama", "parameter_size": "3.2B"}


@pytest.fixture
def gpu1() -> Iterator[str]:
    """Base URL of an Ollama."""
    with fake_ollama() as url:
        yield url


@pytest.fixture
def gpu2() -> Iterator[str]:
    """Base URL of another one."""
    with fake_ollama() as url:
        yield url


def discover(stack: RunningStack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return stack.command("admin", "discover", *arguments)


def document(stack: RunningStack, *arguments: str, status: int = 0) -> Any:
    done = discover(stack, *arguments, "--json")
    assert (done.returncode, done.stderr) == (status, "")
    return json.loads(done.stdout)


def test_it_lists_what_an_ollama_has_and_changes_nothing(stack: RunningStack, gpu1: str) -> None:
    renewed(gpu1, loaded=["qwen3:0.6b"])
    listed = discover(stack, "--upstream", "looked-at", "--base-url", f"{gpu1}/v1/")
    assert (listed.returncode, listed.stderr) == (0, "")
    head, _, columns, *rows, _, hint = listed.stdout.splitlines()
    assert head == (
        f"The Ollama at {gpu1} (upstream looked-at, which the catalogue does not know yet): 3 of its models."
    )
    assert [" ".join(row.split()) for row in (columns, *rows)] == [
        "MODEL SIZE FAMILY PARAMETERS QUANTISATION CONTEXT FOR LOADED CATALOGUE",
        "gemma4:latest 5.1 GB gemma4 9.2B Q4_K_M 131072 completion no -",
        "nomic-embed-text:latest 0.3 GB nomic-bert 137M F16 2048 embedding no -",
        "qwen3:0.6b 2.0 GB qwen3 751.63M Q4_K_M 40960 completion yes -",
    ]
    assert "--add" in hint
    known = discover(stack, "--upstream", "looked-at")
    assert (known.returncode, "no upstream looked-at" in known.stderr) == (1, True)


def test_what_is_added_reaches_the_edge_with_price_context_and_kind(
    stack: RunningStack, http: httpx.Client, gpu1: str
) -> None:
    added = discover(stack, "--upstream", "adds", "--base-url", gpu1, "--add", "--prefix", "adds/", *PRICE)
    assert (added.returncode, added.stderr) == (0, "")
    assert "\nAdded: adds/gemma4, adds/nomic-embed-text, adds/qwen3:0.6b.\n" in added.stdout
    until(lambda: bool(items(http, "/api/models", public_name="adds/qwen3:0.6b")), within_s=2)
    shown = {
        name: (one["family"], one["context_tokens"], one["input_usd_per_mtok"], one["output_usd_per_mtok"])
        for one in items(http, "/api/models")
        if (name := one["public_name"]).startswith("adds/")
    }
    assert shown == {
        "adds/gemma4": ("gemma4", 131_072, "0.100000", "0.300000"),
        "adds/nomic-embed-text": ("nomic-bert", 2048, "0.100000", "0.000000"),
        "adds/qwen3:0.6b": ("qwen3", 40_960, "0.100000", "0.300000"),
    }
    again = document(stack, "--upstream", "adds", "--add", "--prefix", "adds/", *PRICE)
    assert (again["added"], again["skipped"], again["refused"]) == ([], {}, {})
    assert [one["public_names"] for one in again["models"]] == [[name] for name in shown]


def test_one_model_at_a_time_can_have_its_own_price(stack: RunningStack, http: httpx.Client, gpu1: str) -> None:
    where = ("--upstream", "one-by-one", "--base-url", gpu1)
    cached = ("--cached-input-usd", "0.01", "--cache-write-usd", "0.125")
    some = document(stack, *where, "--add", "--prefix", "one/", "--model", "gemma4", *PRICE, *cached)
    assert (some["added"], [one["name"] for one in some["models"]]) == (["one/gemma4"], ["gemma4:latest"])
    until(lambda: bool(items(http, "/api/models", public_name="one/gemma4")), within_s=2)
    (shown,) = items(http, "/api/models", public_name="one/gemma4")
    assert (shown["cached_input_usd_per_mtok"], shown["cache_write_input_usd_per_mtok"]) == ("0.010000", "0.125000")
    lacking = discover(stack, *where, "--model", "llama3.2")
    assert (lacking.returncode, lacking.stderr) == (
        1,
        f"llama3.2 is not installed at {gpu1}. There: ollama pull llama3.2\n",
    )


def test_what_the_catalogue_routes_there_in_vain_is_named_with_its_mend(stack: RunningStack, gpu1: str) -> None:
    where = ("--upstream", "loses", "--base-url", gpu1)
    assert document(stack, *where, "--add", "--prefix", "loses/", *PRICE)["missing"] == []
    renewed(gpu1, installed=[LLAMA])
    found = document(stack, *where, "--check", status=1)
    assert found["missing"] == [
        {"public_name": f"loses/{public}", "upstream_model": model, "mend": f"ollama pull {model}"}
        for public, model in (
            ("gemma4", "gemma4:latest"),
            ("nomic-embed-text", "nomic-embed-text:latest"),
            ("qwen3:0.6b", "qwen3:0.6b"),
        )
    ]
    told = discover(stack, *where)
    assert told.returncode == 0
    assert "ollama pull qwen3:0.6b loses/qwen3:0.6b" in [" ".join(line.split()) for line in told.stdout.splitlines()]


def test_a_second_host_serves_what_the_first_one_does(stack: RunningStack, gpu1: str, gpu2: str) -> None:
    document(stack, "--upstream", "first", "--base-url", gpu1, "--add", "--prefix", "shared/", *PRICE)
    second = ("--upstream", "second", "--base-url", gpu2)
    taken = document(stack, *second, "--add", "--prefix", "shared/", *PRICE)
    assert (taken["added"], list(taken["skipped"])) == ([], ["gemma4:latest", "nomic-embed-text:latest", "qwen3:0.6b"])
    assert taken["in_catalogue"] is False
    renewed(gpu2, installed=[LLAMA, {"name": "gemma4:latest", "family": "gemma4", "parameter_size": "9B"}])
    joined = document(stack, *second, "--join", "--add", "--prefix", "shared/", *PRICE)
    assert "shared/gemma4" in joined["joined"]
    assert (joined["added"], joined["in_catalogue"]) == (["shared/llama3.2"], True)
    assert document(stack, *second, "--join")["joined"] == []
    assert "shared/gemma4" in document(stack, "--upstream", "first")["models"][0]["public_names"]


def test_what_tells_too_little_or_is_for_something_else_is_not_added(stack: RunningStack, gpu1: str) -> None:
    odd = [LLAMA | {"context": 0}, LLAMA | {"name": "flux:latest", "capabilities": ["image"]}]
    renewed(gpu1, installed=odd)
    found = document(stack, "--upstream", "odd", "--base-url", gpu1, "--add", "--prefix", "odd/", *PRICE)
    assert found["skipped"] == {
        "flux:latest": "it neither completes nor embeds",
        "llama3.2:latest": "it does not tell its context length; use add-model",
    }
    assert (found["added"], found["in_catalogue"]) == ([], False)


def test_a_prefix_that_makes_no_name_is_refused_by_the_catalogue(stack: RunningStack, gpu1: str) -> None:
    done = discover(stack, "--upstream", "bad", "--base-url", gpu1, "--add", "--prefix", "a b/", *PRICE)
    assert (done.returncode, "Refused: gemma4:latest" in done.stdout, "Traceback" in done.stderr) == (1, True, False)


@pytest.mark.parametrize("broken", ["<html>Sign in</html>", "[]", '{"models": 5}'])
def test_what_is_no_ollama_is_one_line(stack: RunningStack, gpu1: str, broken: str) -> None:
    renewed(gpu1, broken=broken)
    refused = discover(stack, "--upstream", "nonsense", "--base-url", gpu1)
    assert (refused.returncode, refused.stdout, len(refused.stderr.splitlines())) == (1, "", 1)
    assert refused.stderr.startswith(f"No Ollama answers at {gpu1}: not an answer of Ollama")


def test_an_ollama_that_is_away_is_one_line_that_says_what_to_look_at(stack: RunningStack) -> None:
    refused = discover(stack, "--upstream", "away", "--base-url", "http://127.0.0.1:9")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "OLLAMA_HOST=0.0.0.0" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--base-url", "http://a", "--add"),
        ("--base-url", "http://a", "--add", "--input-usd", "0.1"),
        ("--base-url", "http://a", "--add", "--input-usd", "1e-1", "--output-usd", "0"),
        ("--base-url", "gpu1:11434"),
        ("--base-url", "http://user:password@gpu1"),
        ("--base-url", "http://gpu1:port"),
    ],
)
def test_wrong_usage_is_status_2_and_repeats_no_password(stack: RunningStack, arguments: tuple[str, ...]) -> None:
    refused = discover(stack, *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "password@" not in refused.stderr


def upstream(name: str, base_url: str, kind: Any = catalog_pb2.UPSTREAM_KIND_OLLAMA) -> Any:
    return catalog_pb2.Upstream(name=name, kind=kind, base_url=base_url, credential="secret")


PROXY = upstream("proxy", "http://proxy", catalog_pb2.UPSTREAM_KIND_LITELLM)
ONE, TWO = upstream("gpu1", "http://gpu1"), upstream("gpu2", "http://gpu2")


@pytest.mark.parametrize(
    "known, name, base_url, chosen",
    [
        ([PROXY, ONE], "", "", ONE),
        ([PROXY, ONE, TWO], "gpu2", "", TWO),
        ([PROXY, ONE, TWO], "gpu2", "http://gpu2", TWO),
        ([PROXY, ONE, TWO], "", "http://gpu2", TWO),
        ([PROXY, ONE], "gpu2", "http://gpu2", upstream("gpu2", "http://gpu2")),
        ([PROXY], "", "http://gpu1", upstream("ollama", "http://gpu1")),
    ],
)
def test_the_ollama_that_is_meant_is_found_or_new(known: list[Any], name: str, base_url: str, chosen: Any) -> None:
    got = choose_upstream(catalog_pb2.GetCatalogResponse(upstreams=known), name, base_url=base_url)
    assert (got.name, got.kind, got.base_url) == (chosen.name, chosen.kind, chosen.base_url)
    assert got.credential == ("secret" if got in known else "")


@pytest.mark.parametrize(
    "known, name, base_url, says",
    [
        ([], "", "", "The catalogue has no Ollama (there is none yet). Say where it is"),
        ([PROXY], "gpu1", "", "The catalogue has no upstream gpu1"),
        ([PROXY], "proxy", "", "The upstream proxy is no Ollama."),
        ([ONE, TWO], "", "", "Say which one, with --upstream: gpu1, gpu2."),
        ([ONE], "gpu1", "http://gpu2", "The upstream gpu1 is at http://gpu1."),
        ([upstream("ollama", "http://gpu1")], "", "http://gpu2", "There is an upstream ollama at another address."),
    ],
)
def test_an_ollama_that_is_not_clear_is_asked_for(known: list[Any], name: str, base_url: str, says: str) -> None:
    with pytest.raises(CommandError) as refused:
        choose_upstream(catalog_pb2.GetCatalogResponse(upstreams=known), name, base_url=base_url)
    assert str(refused.value).startswith(says)
    assert "secret" not in str(refused.value)
