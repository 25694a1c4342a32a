"""What we ask LiteLLM's key management and read in its answers, against the real package: routes, types and rules."""

import ast
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from edge.v1.endpoints import ENDPOINTS
from kit.money import NANOS_PER_USD
from services.auth import proxy as proxy_module
from services.auth.errors import VirtualKeyRefused
from services.auth.proxy import Proxy
from tests.services.auth.fakes import FakeLiteLlm
from tests.support.litellm import litellm_with_memory

ROOT = Path(__file__).parents[2]
MASTER_KEY = "sk-" + "0123456789abcdef" * 3
OTHER_KEY = "sk-" + "fedcba9876543210" * 3
USER = UUID(int=7)
PATIENCE_S = 60.0

INFERENCE = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses", "/v1/messages"}
KEY_MANAGEMENT = {"/key/generate", "/key/update", "/key/delete"}
HEALTH = {"/health/liveliness"}
VERSION = {"/health/readiness"}
"""Asked by `privaterouter doctor` alone, where an operator wants to know."""
# How the rest of what LiteLLM offers beside inference is called.
ADMINISTRATION = re.compile(
    r"/(key|user|team|organization|customer|end_user|budget|model|tag|credentials|spend|global|cache|config)"
    r"/(generate|new|update|delete|info|list|regenerate|(un)?block|bulk_update|health|aliases|logs|flushall|ping|yaml)\b"
    r"|/health/(liveliness|liveness|readiness|services)\b"
)

# Its first start on a machine compiles all of it.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with litellm_with_memory(MASTER_KEY) as found:
        # The first request of each kind has it load more of itself.
        for path in KEY_MANAGEMENT | INFERENCE:
            httpx.post(f"{found}{path}", json={}, headers={"authorization": f"Bearer {MASTER_KEY}"}, timeout=120)
        yield found


@pytest.fixture(autouse=True)
def _a_busy_machine_is_no_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_module, "DEADLINE_S", PATIENCE_S)


@pytest.fixture
def sent() -> list[httpx.Request]:
    """The requests that went to the proxy."""
    return []


@pytest.fixture
async def client(url: str, sent: list[httpx.Request]) -> AsyncIterator[httpx.AsyncClient]:
    async def note(request: httpx.Request) -> None:
        sent.append(request)

    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, event_hooks={"request": [note]}) as made:
        yield made


@pytest.fixture
def proxy(client: httpx.AsyncClient) -> Proxy:
    return Proxy(client, [MASTER_KEY])


async def stored(url: str, api_key_id: UUID) -> list[list[Any]]:
    """What LiteLLM keeps under this alias: budget, period, allowed routes, metadata."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as client:
        rows = (await client.get("/test/stored")).json()
    return [values for alias, *values in rows if alias == str(api_key_id)]


def metadata(api_key_id: UUID) -> dict[str, str]:
    return {"privaterouter_api_key_id": str(api_key_id), "privaterouter_user_id": str(USER)}


def paths_in_the_code() -> set[str]:
    """Every path of LiteLLM's administration that stands in our code as a text, or in one that is put together."""
    found: set[str] = set()
    for part in ("edge", "services", "deploy", "cli", "kit"):
        for file in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
                    found |= {at[0] for at in ADMINISTRATION.finditer(node.value)}
    return found


def test_only_these_paths_are_ever_called() -> None:
    assert paths_in_the_code() == KEY_MANAGEMENT | HEALTH | VERSION
    assert set(ENDPOINTS) == INFERENCE


async def test_all_of_them_are_there(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/liveliness")).status_code == 200
    assert (await client.get("/health/readiness")).json()["status"] == "healthy"
    details = await client.get("/health/readiness/details", headers={"authorization": f"Bearer {MASTER_KEY}"})
    assert re.match(r"\d+\.\d+\.", details.json()["litellm_version"])
    for path in INFERENCE | KEY_MANAGEMENT:
        unnamed = await client.post(path, json={}, headers={"authorization": f"Bearer {MASTER_KEY}"})
        assert unnamed.status_code not in {404, 405}, path
    nowhere = await client.post("/key/nowhere", json={}, headers={"authorization": f"Bearer {MASTER_KEY}"})
    assert nowhere.status_code == 404


async def test_every_field_of_ours_is_understood(
    client: httpx.AsyncClient, proxy: Proxy, sent: list[httpx.Request]
) -> None:
    """Pydantic ignores a field that it does not know, so a renamed one would go unnoticed."""
    known = (await client.get("/test/fields")).json()
    api_key_id = uuid4()
    virtual_key = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=NANOS_PER_USD)
    await proxy.update(api_key_id, virtual_key, monthly_limit_nanos=None)
    await proxy.delete(api_key_id)
    asked = [request for request in sent if request.method == "POST"]
    assert {request.url.path for request in asked} == KEY_MANAGEMENT
    for request in asked:
        assert set(json.loads(request.content)) <= set(known[request.url.path])


@pytest.mark.parametrize("limit_nanos, budget", [(None, [None, None]), (5 * NANOS_PER_USD, [11.0, "1mo"])])
async def test_a_virtual_key_has_its_budget_and_may_only_ask_models(
    url: str, proxy: Proxy, limit_nanos: int | None, budget: list[object]
) -> None:
    api_key_id = uuid4()
    virtual_key = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=limit_nanos)
    assert virtual_key.startswith("sk-")
    assert await stored(url, api_key_id) == [[*budget, ["llm_api_routes"], metadata(api_key_id)]]


async def test_a_budget_is_changed_and_taken_away_and_nothing_else(url: str, proxy: Proxy) -> None:
    api_key_id = uuid4()
    virtual_key = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=None)
    rest = [["llm_api_routes"], metadata(api_key_id)]
    assert await proxy.update(api_key_id, virtual_key, monthly_limit_nanos=1)
    assert await stored(url, api_key_id) == [[1.000000002, "1mo", *rest]]
    assert await proxy.update(api_key_id, virtual_key, monthly_limit_nanos=None)
    assert await stored(url, api_key_id) == [[None, None, *rest]]


async def test_a_second_virtual_key_of_the_same_api_key_takes_the_place_of_the_first(
    url: str, client: httpx.AsyncClient, proxy: Proxy
) -> None:
    api_key_id = uuid4()
    first = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=None)
    second = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=None)
    assert first != second
    assert len(await stored(url, api_key_id)) == 1
    assert await proxy.update(api_key_id, second, monthly_limit_nanos=NANOS_PER_USD)
    assert [row[0] for row in await stored(url, api_key_id)] == [3.0]


async def test_deleting_and_updating_what_is_gone_is_done(url: str, proxy: Proxy) -> None:
    api_key_id = uuid4()
    virtual_key = await proxy.generate(api_key_id, user_id=USER, monthly_limit_nanos=None)
    assert await proxy.delete(api_key_id)
    assert await stored(url, api_key_id) == []
    assert await proxy.delete(api_key_id)
    assert await proxy.update(api_key_id, virtual_key, monthly_limit_nanos=None)


async def test_a_wrong_master_key_is_refused_and_the_next_one_is_tried(url: str, client: httpx.AsyncClient) -> None:
    with pytest.raises(VirtualKeyRefused):
        await Proxy(client, [OTHER_KEY]).generate(uuid4(), user_id=USER, monthly_limit_nanos=None)
    assert not await Proxy(client, [OTHER_KEY]).delete(uuid4())
    api_key_id = uuid4()
    await Proxy(client, [OTHER_KEY, MASTER_KEY]).generate(api_key_id, user_id=USER, monthly_limit_nanos=None)
    assert len(await stored(url, api_key_id)) == 1


async def test_the_fake_of_our_other_tests_answers_like_the_real_one(url: str) -> None:
    async with FakeLiteLlm(master_key=MASTER_KEY).running() as fake:
        assert await conversation(fake.url) == await conversation(url)


async def conversation(url: str) -> list[tuple[int, set[str], str | None]]:
    """Statuses, the fields of ours that come back, and the field that is blamed."""
    alias = str(uuid4())
    heard: list[tuple[int, set[str], str | None]] = []

    async def ask(path: str, master_key: str = MASTER_KEY, **body: object) -> Any:
        answer = await http.post(path, json=body, headers={"authorization": f"Bearer {master_key}"})
        said = answer.json() if answer.headers.get("content-type", "").startswith("application/json") else {}
        error = said.get("error") or {}
        heard.append((answer.status_code, set(said) & {"key", "deleted_keys", "error"}, error.get("param")))
        return said

    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S) as http:
        made = await ask("/key/generate", key_alias=alias, metadata={"a": "b"})
        await ask("/key/generate", key_alias=alias, metadata={})
        await ask("/key/update", key=made["key"], max_budget=5, budget_duration="1mo")
        await ask("/key/delete", key_aliases=[alias])
        await ask("/key/delete", key_aliases=[alias])
        await ask("/key/update", key=made["key"], max_budget=None, budget_duration=None)
        await ask("/key/delete", OTHER_KEY, key_aliases=[alias])
    return heard
