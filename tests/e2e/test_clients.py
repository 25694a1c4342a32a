"""The clients of docs/clients.md at a running stack: what each gets, and that what it sees as usage is charged."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local import locked
from kit.money import cost_nanos, parse_usd
from tests.e2e.clients.seen import EMBED, FAST, SCRIPTED, WEATHER
from tests.support import pages
from tests.support.customers import Customer, customer
from tests.support.environments import environment
from tests.support.processes import scripted_upstream
from tests.support.stack import RunningStack, until

# The first run installs the clients.
pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NODE = Path(sys.executable).with_name("node")
NANOS_PER_MTOK = {
    FAST: (100_000_000, 300_000_000),
    EMBED: (50_000_000, 0),
    SCRIPTED: (1_000_000_000, 2_000_000_000),
}
WITHIN_S = 110


@dataclass(frozen=True)
class Client:
    """A script, the environment that it runs in (None: ours), and what it does at which endpoints."""

    name: str
    script: str
    chat: tuple[str, ...] = ("chat.completions",)
    streams: tuple[str, ...] = ("chat.completions",)
    tools: tuple[str, ...] = ("chat.completions",)
    structured: tuple[str, ...] = ("chat.completions",)
    embeds: bool = True
    environment: str | None = None

    def __str__(self) -> str:
        return self.name

    def endpoints(self, what: str) -> list[str]:
        """Where it makes this kind of call, in the order of its script."""
        return {
            "chat": list(self.chat),
            "stream": list(self.streams),
            "tool call": list(self.tools),
            "tool result": list(self.tools),
            "structured": list(self.structured),
            "embeddings": ["embeddings"] if self.embeds else [],
        }[what]


BOTH = ("chat.completions", "responses")
CLIENTS = [
    Client("openai-python", "clients/openai_python.py", chat=BOTH, streams=BOTH, tools=BOTH, structured=BOTH),
    Client("openai-node", "node/client.mjs", chat=BOTH, streams=BOTH, structured=BOTH),
    Client(
        "anthropic",
        "clients/anthropic_python.py",
        chat=("messages",),
        streams=("messages",),
        tools=("messages",),
        structured=("messages",),
        embeds=False,
    ),
    Client("langchain-openai", "clients/langchain_client.py", chat=BOTH, environment="clients"),
    Client("litellm", "clients/litellm_sdk.py", chat=(*BOTH, "messages"), environment="litellm"),
    Client("llm", "clients/llm_tool.py", embeds=False, environment="clients"),
]


@dataclass(frozen=True)
class Run:
    """What a client saw, call by call, and what its customer's books say of just that time."""

    client: Client
    seen: list[dict[str, Any]]
    events: list[dict[str, Any]]
    charges: dict[str, int]
    """In nano-dollars, by the ids of the calls."""
    paid_nanos: int
    """What the balance fell by."""

    def answers(self, what: str) -> list[Any]:
        """The answers to one kind of call, which the client got at all the endpoints that it should."""
        found = [call for call in self.seen if call["what"] == what]
        assert [call["endpoint"] for call in found] == self.client.endpoints(what)
        return [call["answer"] for call in found]


@pytest.fixture(scope="module")
def buyer(stack: RunningStack) -> Iterator[Customer]:
    """Somebody who may use every model, among them one that calls tools and keeps to schemas."""
    model = ("--name", SCRIPTED, "--upstream-model", "script")
    with scripted_upstream() as url, customer(stack) as someone:
        for command in (
            ("set-upstream", "--name", "scripted", "--kind", "openai", "--base-url", url),
            ("add-model", *model, "--upstream", "scripted", "--input-usd", "1", "--output-usd", "2"),
            ("set-routes", "--model", SCRIPTED, "--route", "upstream=scripted,model=script,first-byte-s=20"),
        ):
            done = stack.command("admin", *command)
            assert done.returncode == 0, done.stderr
        someone.move_to("team")
        until(lambda: SCRIPTED in models(someone))
        yield someone


def models(someone: Customer) -> str:
    """What the key may use, as it is answered."""
    return someone.http.get("/v1/models", headers={"authorization": f"Bearer {someone.key}"}).text


@pytest.fixture(scope="module", params=CLIENTS, ids=str)
def run(
    request: pytest.FixtureRequest, buyer: Customer, node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A client's script, run once, and its bill."""
    client: Client = request.param
    known = {event["id"] for event in buyer.all_of("/api/usage")}
    before = buyer.balance_nanos()
    seen = run_script(client, buyer, home=tmp_path_factory.mktemp("home"))

    def events() -> list[dict[str, Any]]:
        return [event for event in reversed(buyer.all_of("/api/usage")) if event["id"] not in known]

    until(lambda: len(events()) >= len(seen))
    ids = {event["id"] for event in events()}
    due = sum(parse_usd(event["cost_usd"]) for event in events())
    until(lambda: buyer.balance_nanos() == before - due)
    charges = {row["request_id"]: -parse_usd(row["amount_usd"]) for row in buyer.all_of("/api/billing/transactions")}
    return Run(
        client,
        seen=seen,
        events=events(),
        charges={request_id: nanos for request_id, nanos in charges.items() if request_id in ids},
        paid_nanos=before - buyer.balance_nanos(),
    )


def run_script(client: Client, buyer: Customer, *, home: Path) -> list[dict[str, Any]]:
    """What the script has printed of its calls."""
    told = {
        **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
        "HOME": str(home),
        "LLM_USER_PATH": str(home),
        "PYTHONPATH": str(ROOT),
        "PRIVATEROUTER_URL": buyer.stack.places.api_url,
        "PRIVATEROUTER_KEY": buyer.key,
        # It would fetch a newer price list from the internet; it ships one.
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    with ExitStack() as used:
        python = Path(sys.executable)
        if client.environment:
            python = locked.python(used.enter_context(environment(client.environment)))
            told["PATH"] = f"{python.parent}:{told['PATH']}"
        if client.name == "llm":
            set_up_llm(told, home=home)
        program = [NODE] if client.script.endswith(".mjs") else [python]
        printed = output_of([*program, HERE / client.script], told, home=home)
    return [json.loads(line) for line in printed.splitlines()]


def set_up_llm(told: Mapping[str, str], *, home: Path) -> None:
    """Type what docs/clients.md says, and have the scripted model as well."""
    (block,) = (block for block in pages.blocks(pages.read("docs/clients.md")) if block.language == "bash")
    text = block.text.replace("http://localhost:8000", told["PRIVATEROUTER_URL"])
    output_of(["bash", "-euc", text.replace("sk-pr-live-...", told["PRIVATEROUTER_KEY"])], told, home=home)
    models = home / "extra-openai-models.yaml"
    models.write_text(models.read_text() + models.read_text().replace(FAST, SCRIPTED))


def output_of(command: list[str | Path], told: Mapping[str, str], *, home: Path) -> str:
    """What a command prints, which must succeed."""
    done = subprocess.run(
        command,
        env=told,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_model_answers_whole_and_in_pieces(run: Run) -> None:
    assert all(answer.strip() for answer in run.answers("chat"))
    for pieces in run.answers("stream"):
        assert "".join(pieces).strip()
        # The command-line tool is the only one that shows the text and not its pieces.
        assert len(pieces) > 1 or run.client.name == "llm"


def test_embeddings_have_the_width_of_the_model(run: Run) -> None:
    assert set(run.answers("embeddings")) <= {576}


def test_a_tool_is_called_and_its_result_is_read(run: Run) -> None:
    assert all(answer == ["weather", {"city": "Paris"}] for answer in run.answers("tool call"))
    assert all(answer == f"The tool said: {WEATHER}" for answer in run.answers("tool result"))


def test_structured_output_has_the_structure(run: Run) -> None:
    assert all(answer == {"capital": "Paris", "districts": 21} for answer in run.answers("structured"))


def test_the_usage_rows_are_the_calls_that_the_client_made_with_the_usage_that_it_saw(run: Run) -> None:
    assert [(event["endpoint"], event["streamed"]) for event in run.events] == [
        (call["endpoint"], call["streamed"]) for call in run.seen
    ]
    for call, event in zip(run.seen, run.events, strict=True):
        shown = call["usage"] or [event["input_tokens"], event["output_tokens"]]
        assert [event["input_tokens"], event["output_tokens"]] == shown, call
        assert event["input_tokens"] > 0
        assert (event["status"], event["estimated"]) == ("success", False)


def test_the_debit_is_the_price_of_the_usage_that_the_client_saw(run: Run) -> None:
    due = []
    for call, event in zip(run.seen, run.events, strict=True):
        shown = call["usage"] or [event["input_tokens"], event["output_tokens"]]
        prices = NANOS_PER_MTOK[event["model_public_name"]]
        due.append(cost_nanos(*zip(shown, prices, strict=True)))
    assert [run.charges[event["id"]] for event in run.events] == due
    assert run.paid_nanos == sum(due) > 0
