"""The playground: who may run a chat completion as which key, and that it is then the hot path's, byte for byte."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import grpc
import pytest

from edge.api.playground import PATH
from edge.api.tokens import Tokens
from edge.money.records import Record, Status
from kit import server
from kit.client import channel
from kit.errors import AppError
from kit.ids import IdFactory
from kit.timestamps import to_proto
from privaterouter.auth.v1 import auth_pb2 as pb
from privaterouter.auth.v1.auth_pb2_grpc import (
    AuthServiceServicer,
    AuthServiceStub,
    add_AuthServiceServicer_to_server,
)
from tests.edge.v1.conftest import PATIENCE
from tests.edge.v1.gateway import Gateway, body, running_gateway
from tests.support.processes import fake_upstream
from tests.support.waiting import eventually

new_id = IdFactory()
CHAT = "/v1/chat/completions"


class Refused(AppError):
    """What auth says; `reason` is set where it is raised."""

    domain = "auth.privaterouter"

    def __init__(self, code: grpc.StatusCode, reason: str) -> None:
        super().__init__("no")
        self.code, self.reason = code, reason  # type: ignore[misc]


@dataclass
class FakeAuth(AuthServiceServicer):
    """Sessions and keys of users."""

    users: dict[str, str] = field(default_factory=dict)
    """By session."""
    keys: dict[tuple[str, str], pb.ResolvedApiKey] = field(default_factory=dict)
    """By user and key."""
    away: bool = False

    async def CheckSession(self, request: pb.CheckSessionRequest, context: object) -> pb.CheckSessionResponse:
        if request.session_id not in self.users:
            raise Refused(grpc.StatusCode.UNAUTHENTICATED, "SESSION_ENDED")
        user_id, end = self.users[request.session_id], to_proto(datetime.now(UTC) + timedelta(days=7))
        session = pb.Session(id=request.session_id, user_id=user_id, expire_time=end)
        return pb.CheckSessionResponse(user=pb.User(id=user_id), session=session)

    async def ResolveApiKeyById(
        self, request: pb.ResolveApiKeyByIdRequest, context: object
    ) -> pb.ResolveApiKeyByIdResponse:
        if self.away:
            raise Refused(grpc.StatusCode.DEADLINE_EXCEEDED, "AWAY")
        resolved = self.keys.get((request.user_id, request.api_key_id))
        if resolved is None:
            raise Refused(grpc.StatusCode.NOT_FOUND, "API_KEY_NOT_FOUND")
        return pb.ResolveApiKeyByIdResponse(resolved=resolved)


@dataclass
class Playground:
    """The gateway with a playground, and somebody who is logged in and has a key."""

    gateway: Gateway
    auth: FakeAuth
    tokens: Tokens
    user_id: str
    session_id: str
    key_id: str
    ahead: list[timedelta]
    """How far the clock is ahead: its only entry."""

    @property
    def token(self) -> str:
        end = datetime.now(UTC) + timedelta(days=7)
        return self.tokens.issue(user_id=self.user_id, session_id=self.session_id, session_expire_time=end)

    def key(self) -> pb.ResolvedApiKey:
        return self.auth.keys[self.user_id, self.key_id]

    def new_key(self, user_id: str) -> str:
        key_id = str(new_id())
        self.auth.keys[user_id, key_id] = pb.ResolvedApiKey(
            outcome=pb.RESOLVE_OUTCOME_ACTIVE,
            api_key=pb.ApiKey(id=key_id, user_id=user_id),
            account_id=user_id,
            virtual_key="sk-virtual",
        )
        return key_id

    def post(
        self,
        headers: dict[str, str] | None = None,
        *,
        query: str | None = None,
        cookie: bool = False,
        timeout_s: float = 30,
        **fields: Any,
    ) -> Any:
        """A request with the session's bearer token or cookie; `headers` come on top, `query` is what follows `?`."""
        mine = {"cookie": f"pr_session={self.token}"} if cookie else {"authorization": f"Bearer {self.token}"}
        return self.gateway.http.post(
            f"{self.gateway.url}{PATH}?{f'key_id={self.key_id}' if query is None else query}",
            data=json.dumps(body(CHAT, **fields)),
            headers={"content-type": "application/json"} | mine | (headers or {}),
            timeout=aiohttp.ClientTimeout(timeout_s),
        )

    async def refused(self, *args: Any, **kwargs: Any) -> tuple[int, str, str | None]:
        """Status, code and param of a refusal, with which nothing has begun."""
        async with self.post(*args, **kwargs) as response:
            found = await response.json()
        assert set(found) == {"error"}
        assert set(found["error"]) == {"message", "type", "param", "code"}
        assert response.headers["x-request-id"]
        assert self.gateway.purse.opened == []
        assert self.gateway.rates.asked == []
        return response.status, found["error"]["code"], found["error"]["param"]


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    with fake_upstream() as url:
        yield url


@pytest.fixture
async def playground(upstream_url: str, tmp_path: Path) -> AsyncIterator[Playground]:
    """A playground; when the test is over nothing runs and nothing is held."""
    auth, ahead = FakeAuth(), [timedelta()]  # type: ignore[abstract]
    tokens = Tokens("x" * 40, clock=lambda: datetime.now(UTC) + ahead[0])
    async with (
        server.running(
            listen=f"unix:{tmp_path}/auth",
            register=lambda real: add_AuthServiceServicer_to_server(auth, real),
            drain_s=0,
        ) as target,
        channel(target, pb.DESCRIPTOR.services_by_name["AuthService"]) as connected,
    ):
        deps = SimpleNamespace(tokens=tokens, clients=SimpleNamespace(auth=AuthServiceStub(connected)))
        async with running_gateway(upstream_url, patience=PATIENCE, deps=deps) as gateway:
            user_id, session_id = str(new_id()), str(new_id())
            auth.users[session_id] = user_id
            made = Playground(gateway, auth, tokens, user_id, session_id, "", ahead)
            made.key_id = made.new_key(user_id)
            yield made
            assert len(gateway.running) == 0
            assert gateway.purse.held == set()
            assert len(gateway.rates.released) == len(gateway.rates.asked)


async def final(gateway: Gateway) -> Record:
    """The only final record, once it is there."""

    async def first() -> list[Record]:
        return gateway.purse.final

    return (await eventually(first, what="the final record"))[0]


@pytest.mark.parametrize("cookie", [False, True])
async def test_a_call_is_answered_and_billed_as_one_of_the_key(playground: Playground, cookie: bool) -> None:
    async with playground.post(cookie=cookie, script={"tokens": 3}) as response:
        answer = await response.json()
    assert (response.status, answer["model"]) == (200, "test/chat")
    assert response.headers["x-privaterouter-cost-usd"] == "0.0000016"
    record = playground.gateway.purse.final[0]
    assert (record.account_id, record.api_key_id) == (playground.user_id, playground.key_id)
    assert (record.status, record.cost_nanos, record.endpoint) == (Status.SUCCESS, 1600, "chat.completions")
    assert record.request_id == response.headers["x-request-id"]


@pytest.mark.parametrize(
    "fields", [{"stream": True}, {"stream": True, "script": {"tokens": 3, "cut_after_bytes": 300}}]
)
async def test_a_stream_is_the_one_of_the_hot_path(playground: Playground, fields: dict[str, Any]) -> None:
    got = []
    for post in (playground.gateway.post, playground.post):
        async with post(**{"script": {"tokens": 3}} | fields) as response:
            text = (await response.read()).decode()
            got.append(
                (re.sub(r'"(id|created)":("[^"]*"|\d+)', "", text), set(response.headers), response.content_type)
            )
    (theirs, their_headers, kind), (ours, our_headers, our_kind) = got
    assert (ours, our_kind) == (theirs, kind)
    assert ours.endswith("data: [DONE]\n\n")
    assert their_headers <= our_headers


async def test_answers_are_kept_by_no_cache_and_for_no_other_site(playground: Playground) -> None:
    for headers in ({}, {"authorization": "Bearer x"}):
        async with playground.post(headers | {"sec-fetch-site": "same-origin"}) as response:
            text = await response.text()
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert not any(name.lower().startswith("access-control-") for name in response.headers)
        assert "sk-virtual" not in text + str(response.headers)


@pytest.mark.parametrize(
    "headers, cookie, expected",
    [
        ({"authorization": "Bearer sk-pr-good"}, False, (401, "invalid_session", None)),
        ({"authorization": "Bearer nonsense"}, True, (401, "invalid_session", None)),
        ({"cookie": ""}, True, (401, "invalid_session", None)),
        ({"cookie": "pr_session=nonsense"}, True, (401, "invalid_session", None)),
        ({"cookie": "", "x-api-key": "sk-pr-good"}, True, (401, "invalid_session", None)),
        ({"sec-fetch-site": "cross-site"}, True, (403, "cross_site_request", None)),
        ({"origin": "https://evil.example"}, True, (403, "cross_site_request", None)),
        ({"origin": "null"}, True, (403, "cross_site_request", None)),
        ({"content-type": "application/x-www-form-urlencoded"}, True, (415, "unsupported_media_type", None)),
        ({"content-type": "text/plain"}, True, (415, "unsupported_media_type", None)),
        ({"content-type": "text/plain"}, False, (415, "unsupported_media_type", None)),
    ],
)
async def test_only_a_session_of_our_own_site_may(
    playground: Playground, headers: dict[str, str], cookie: bool, expected: tuple[int, str, None]
) -> None:
    assert await playground.refused(headers, cookie=cookie) == expected


async def test_a_session_that_is_over_may_not(playground: Playground) -> None:
    playground.auth.users.clear()
    assert await playground.refused() == (401, "invalid_session", None)


async def test_keys_of_others_and_keys_that_there_are_not_look_alike(playground: Playground) -> None:
    foreign = playground.new_key(str(new_id()))
    said = []
    for key_id in (foreign, str(new_id()), "garbage", ""):
        async with playground.post(query=f"key_id={key_id}") as response:
            said.append((response.status, (await response.json())["error"]["code"]))
    assert said == [(404, "api_key_not_found")] * 4
    assert playground.gateway.purse.opened == []


@pytest.mark.parametrize("query", ["", "key_id={0}&key_id={0}", "key_id={0}&more=1", "KEY_ID={0}"])
async def test_the_query_names_one_key_and_nothing_else(playground: Playground, query: str) -> None:
    said = await playground.refused(query=query.format(playground.key_id))
    assert said == (400, "invalid_parameter", "key_id")


@pytest.mark.parametrize(
    "outcome",
    [pb.RESOLVE_OUTCOME_DISABLED, pb.RESOLVE_OUTCOME_EXPIRED, pb.RESOLVE_OUTCOME_OWNER_DISABLED],
)
async def test_a_key_that_is_not_active_is_refused_though_the_session_is_fine(
    playground: Playground, outcome: pb.ResolveOutcome.ValueType
) -> None:
    playground.key().CopyFrom(pb.ResolvedApiKey(outcome=outcome))
    assert await playground.refused() == (403, "api_key_inactive", None)


async def test_a_change_of_the_key_counts_at_the_next_call(playground: Playground) -> None:
    async with playground.post() as response:
        assert response.status == 200
    playground.key().api_key.allowed_models.append("test/other")
    async with playground.post() as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "model_not_allowed")
    playground.key().CopyFrom(pb.ResolvedApiKey(outcome=pb.RESOLVE_OUTCOME_DISABLED))
    async with playground.post() as response:
        assert (response.status, (await response.json())["error"]["code"]) == (403, "api_key_inactive")
    assert len(playground.gateway.purse.final) == 1


async def test_a_key_that_cannot_be_checked_is_a_503(playground: Playground) -> None:
    playground.auth.away = True
    assert await playground.refused() == (503, "service_unavailable", None)
    playground.auth.away = False
    playground.key().CopyFrom(pb.ResolvedApiKey())
    assert await playground.refused() == (503, "service_unavailable", None)


async def test_a_repeated_call_is_recognised_by_its_idempotency_key(playground: Playground) -> None:
    async with playground.post({"idempotency-key": "a"}) as response:
        assert response.status == 200
    claim = playground.gateway.ledger.claims["a"]
    assert (claim.caller.api_key_id, claim.request_id) == (playground.key_id, response.headers["x-request-id"])
    async with playground.post({"idempotency-key": "a"}) as response:
        assert (await response.json())["error"]["code"] == "idempotency_key_in_use"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cookie_is_renewed_by_use(playground: Playground, stream: bool) -> None:
    async with playground.post(cookie=True, stream=stream) as response:
        assert "set-cookie" not in response.headers
        await response.read()
    old = {"cookie": f"pr_session={playground.token}"}
    playground.ahead[0] = timedelta(minutes=50)
    async with playground.post(old, cookie=True, stream=stream) as response:
        assert response.headers["set-cookie"].startswith("pr_session=ey")
        assert await response.read()


async def test_a_client_that_leaves_stops_the_upstream_and_pays_for_what_it_got(playground: Playground) -> None:
    script = {"tokens": 1000, "before_token_s": 0.02}
    async with playground.post(stream=True, script=script) as response:
        await response.content.readany()
        request_id = response.headers["x-request-id"]
        response.close()
    record = await final(playground.gateway)
    assert (record.status, record.api_key_id) == (Status.CANCELLED, playground.key_id)
    assert record.cost_nanos > 0

    async def aborted() -> bool:
        return bool((await playground.gateway.tally(request_id))["aborted"])

    await eventually(aborted, within_s=1.0, what="the upstream to be told")
