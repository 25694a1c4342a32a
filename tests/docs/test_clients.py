"""docs/clients.md shows each client as the tests set it up."""

import re

import pytest

from tests.support import pages

SCRIPTS = {
    "OpenAI SDK for Python": "tests/e2e/clients/openai_python.py",
    "OpenAI SDK for Node.js": "tests/e2e/node/client.mjs",
    "Anthropic SDK for Python": "tests/e2e/clients/anthropic_python.py",
    "LangChain": "tests/e2e/clients/langchain_client.py",
    "LiteLLM's SDK": "tests/e2e/clients/litellm_sdk.py",
}
"""The sections that show code; what the section on llm shows is typed by the test of that client."""
IN_A_SCRIPT = {'"http://localhost:8000/v1"': "V1", '"http://localhost:8000"': "ROOT", '"sk-pr-live-..."': "KEY"}


def sections() -> dict[str, str]:
    """The page's sections by their headings."""
    _, *parts = re.split(r"^## ", pages.read("docs/clients.md"), flags=re.MULTILINE)
    return {heading: text for heading, _, text in (part.partition("\n") for part in parts)}


def test_every_client_of_the_page_is_tested() -> None:
    assert set(sections()) == {*SCRIPTS, "llm"}


@pytest.mark.parametrize("client", SCRIPTS)
def test_a_script_sets_its_client_up_as_the_page_does(client: str) -> None:
    (block,) = pages.blocks(sections()[client])
    text = block.text
    for shown, meant in IN_A_SCRIPT.items():
        text = text.replace(shown, meant)
    script = [line.strip() for line in pages.read(SCRIPTS[client]).splitlines()]
    assert [line for line in text.splitlines() if line not in script] == []
