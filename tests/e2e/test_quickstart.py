"""docs/quickstart.md, typed from top to bottom into a terminal beside a fresh stack with its real model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kit.money import format_usd, parse_usd
from tests.e2e.terminal import Terminal
from tests.support import pages
from tests.support.pages import Block
from tests.support.stack import RunningStack, environment, until

# The first test types the whole page, with a real model on however few cores there are.
pytestmark = pytest.mark.timeout(600)

CALLS = 5
"""Chat requests of the page up to its look at the usage: by curl, Python, Node.js, and two streams."""


class Reader:
    """Somebody who types the page. `printed` is what each block printed, in their order."""

    def __init__(self, stack: RunningStack, terminal: Terminal) -> None:
        self._stack = stack
        self._terminal = terminal
        self.printed: list[tuple[Block, str]] = []

    def type(self, block: Block) -> None:
        """Type one block as it stands, but for the ports; waits where the page says that something takes a moment."""
        where = self._stack.places
        text = block.text.replace("http://localhost:8000", where.api_url)
        self._before(block)
        run = {"bash": self._terminal.bash, "python": self._terminal.python, "js": self._terminal.js}[block.language]
        self.printed.append((block, run(text)))

    def answer_to(self, *fragments: str, language: str = "bash") -> str:
        """What the one block with these fragments printed."""
        found = [out for block, out in self.printed if block.language == language and _has(block, fragments)]
        assert len(found) == 1, fragments
        return found[0]

    def ask(self, path: str) -> Any:
        """A GET of `/api` as the page's user."""
        token = self._terminal.bash('echo "$TOKEN"').strip()
        answer = httpx.get(f"{self._stack.places.api_url}{path}", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _before(self, block: Block) -> None:
        if "qwen-fast" in block.text:
            key = self._terminal.bash('echo "$PR_KEY"').strip()
            models = f"{self._stack.places.api_url}/v1/models"
            until(lambda: "qwen-fast" in httpx.get(models, headers={"authorization": f"Bearer {key}"}).text, within_s=2)
        elif "/api/usage?" in block.text:
            until(lambda: self.ask("/api/usage")["total"] == CALLS, within_s=10)
        elif "/api/billing/balance" in block.text:
            until(lambda: self.ask("/api/billing/balance")["balance_usd"] == self._left(), within_s=10)

    def _left(self) -> str:
        """$1.00 to begin with, $10.00 paid, $12.00 with the plan, less what the calls cost."""
        spent = sum(parse_usd(event["cost_usd"]) for event in self.ask("/api/usage")["items"])
        return format_usd(parse_usd("23") - spent)


def _has(block: Block, fragments: tuple[str, ...]) -> bool:
    return all(fragment in block.text for fragment in fragments)


def same_shape(documented: Any, real: Any) -> bool:
    """Whether two JSON values have the same fields and types, as far as there are values to compare."""
    if documented is None or real is None:
        return True
    if isinstance(documented, dict):
        return (
            isinstance(real, dict)
            and documented.keys() == real.keys()
            and all(same_shape(value, real[name]) for name, value in documented.items())
        )
    if isinstance(documented, list):
        return isinstance(real, list) and all(same_shape(documented[0], item) for item in real if documented)
    return type(documented) is type(real)


@pytest.fixture(scope="module")
def page() -> list[Block]:
    return pages.blocks(pages.read("docs/quickstart.md"))


@pytest.fixture(scope="module")
def reader(
    stack: RunningStack, page: list[Block], node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Reader]:
    """The page, typed to its end."""
    directory = tmp_path_factory.mktemp("clone")
    with Terminal(directory, node_modules=node_modules, environment=environment(stack.home.root)) as terminal:
        reader = Reader(stack, terminal)
        for block in page:
            if block.language in {"bash", "python", "js"}:
                reader.type(block)
        yield reader


def test_its_first_step_is_to_start_the_stack(page: list[Block]) -> None:
    assert [block.text.splitlines()[-1] for block in page if block.language == "sh"] == ["make up"]


def test_every_answer_has_the_shape_that_the_page_shows(reader: Reader, page: list[Block]) -> None:
    answers = iter(reader.printed)
    last = ""
    compared = 0
    for block, following in zip(page, [*page[1:], Block("", "")], strict=True):
        if block.language not in {"bash", "python", "js"}:
            continue
        typed, last = next(answers)
        assert typed is block
        if following.language == "json":
            assert same_shape(json.loads(following.text), json.loads(last)), f"{block.text}\n{last}"
            compared += 1
        elif following.language == "text":
            whole = [line for line in following.text.splitlines() if line and "..." not in line]
            assert [line for line in whole if line not in last.splitlines()] == [], last
            compared += 1
    assert compared == 11


def test_the_user_starts_with_a_dollar_on_the_plan_free_and_tops_up(reader: Reader) -> None:
    assert json.loads(reader.answer_to("/api/billing/topup")) == {
        "balance_usd": "11.00",
        "plan_name": "free",
        "monthly_quota_tokens": None,
    }
    signed_up = json.loads(reader.answer_to("/api/auth/signup"))
    assert json.loads(reader.answer_to("/api/auth/me")) == signed_up["user"]
    assert (signed_up["user"]["email"], signed_up["user"]["role"]) == ("alice@example.com", "user")


def test_curl_python_and_node_all_get_an_answer_of_the_model(reader: Reader) -> None:
    envelope = json.loads(reader.answer_to("chat/completions", "privaterouter/fast"))
    assert envelope["object"] == "chat.completion"
    assert envelope["model"] == "privaterouter/fast"
    assert envelope["choices"][0]["message"]["content"].strip()
    assert reader.answer_to("Say hi in five words.", language="python").strip()
    assert reader.answer_to("Say hi in five words.", language="js").strip()


def test_streams_arrive_piece_by_piece_with_the_public_name_and_end_in_done(reader: Reader) -> None:
    lines = [line for line in reader.answer_to('"stream": true').splitlines() if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    assert {chunk["model"] for chunk in chunks} == {"privaterouter/qwen-fast"}
    assert len([chunk for chunk in chunks if chunk["choices"][0]["delta"].get("content")]) > 1
    assert reader.answer_to("stream=True", language="python").strip()


def test_the_plan_change_says_what_it_did(reader: Reader) -> None:
    said = reader.answer_to("admin set-plan")
    assert re.fullmatch(
        r"alice@example\.com is on starter, \$12\.00 of credit added; balance \$22\.[0-9]{2,9}\.\n", said
    )


def test_the_usage_lists_every_call_and_the_balance_is_debited_by_their_sum(reader: Reader) -> None:
    usage = json.loads(reader.answer_to("/api/usage?"))
    assert (usage["total"], len(usage["items"])) == (CALLS, CALLS)
    assert {item["status"] for item in usage["items"]} == {"success"}
    assert [item["streamed"] for item in usage["items"]] == [True, True, False, False, False]
    assert all(not item["estimated"] for item in usage["items"])
    costs = [parse_usd(item["cost_usd"]) for item in usage["items"]]
    # $0.10 and $0.30 for a million tokens are 100 and 300 nano-dollars a token, for both models.
    assert costs == [100 * item["input_tokens"] + 300 * item["output_tokens"] for item in usage["items"]]
    balance = json.loads(reader.answer_to("/api/billing/balance"))
    assert balance == {
        "balance_usd": format_usd(parse_usd("23") - sum(costs)),
        "plan_name": "starter",
        "monthly_quota_tokens": None,
    }


def test_embeddings_have_the_width_of_the_model_that_comes_along(reader: Reader) -> None:
    answer = json.loads(reader.answer_to("/v1/embeddings"))
    assert [len(item["embedding"]) for item in answer["data"]] == [576]
    assert reader.answer_to("emb.data", language="python") == "576\n"


def test_the_list_of_models_has_what_the_plan_allows(reader: Reader) -> None:
    listed = [model["id"] for model in json.loads(reader.answer_to("/v1/models"))["data"]]
    assert listed == ["privaterouter/embed", "privaterouter/fast", "privaterouter/qwen-fast"]


def test_the_key_is_shown_once_and_begins_with_its_prefix(reader: Reader) -> None:
    created = json.loads(reader.answer_to("-X POST http://localhost:8000/api/keys"))
    assert re.fullmatch(r"sk-pr-live-[0-9A-Za-z]{38}", created["key"])
    assert created["key"].startswith(created["api_key"]["key_prefix"])
    (listed,) = reader.ask("/api/keys")["items"]
    assert created["key"] not in json.dumps(listed)
