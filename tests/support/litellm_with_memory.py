"""The real LiteLLM proxy over a table in memory where its database would be: run by the Python of its own environment.

Its database layer needs an engine that is not to be had everywhere. All else is the real thing: routes, authentication,
types, rules and refusals of its key management. Prints its port, then serves. `MASTER_KEY` in the environment is its
master key. Only what key management asks of a database is there.
"""

import asyncio
import json
import os
import socket
import sys
from types import ModuleType
from typing import Any

os.environ |= {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "CRITICAL",
}

Row = dict[str, Any]


class Errors(ModuleType):
    """A module of the database client that is asked for its exceptions, of which none ever happens."""

    def __getattr__(self, name: str) -> type[Exception]:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (Exception,), {})


for name in ("prisma", "prisma.errors", "prisma.engine", "prisma.engine.errors"):
    sys.modules[name] = Errors(name)
sys.modules["prisma"].errors = sys.modules["prisma.errors"]  # type: ignore[attr-defined]

import uvicorn  # noqa: E402
from litellm.proxy import proxy_server  # noqa: E402
from litellm.proxy._types import (  # noqa: E402
    GenerateKeyRequest,
    KeyRequest,
    LiteLLM_VerificationToken,
    UpdateKeyRequest,
)


class Table:
    """An empty table that forgets what it is given."""

    async def find_many(self, **query: Any) -> list[Any]:
        return []

    async def find_first(self, **query: Any) -> Any:
        return next(iter(await self.find_many(**query)), None)

    async def find_unique(self, **query: Any) -> Any:
        return await self.find_first(**query)

    async def create_many(self, **query: Any) -> int:
        return 0


class Keys(Table):
    """The table of virtual keys, by the digest of their secret."""

    def __init__(self) -> None:
        self.rows: dict[str, Any] = {}

    async def find_many(self, where: Row | None = None, **query: Any) -> list[Any]:
        return [row for row in self.rows.values() if matches(row, where or {})]


def matches(row: Any, where: Row) -> bool:
    """Whether a row is among those that a query means: equal values, one of several, and what is not so."""
    for name, wanted in where.items():
        if name == "NOT":
            if matches(row, wanted):
                return False
        elif isinstance(wanted, dict):
            if getattr(row, name) not in wanted["in"]:
                return False
        elif getattr(row, name) != wanted:
            return False
    return True


class Tables:
    """All tables; those that nobody minds are empty."""

    def __init__(self) -> None:
        self.litellm_verificationtoken = Keys()

    def __getattr__(self, name: str) -> Table:
        return Table()


class Memory:
    """What LiteLLM calls its prisma client."""

    def __init__(self) -> None:
        self.db = self.writer_db = Tables()
        self.keys = self.db.litellm_verificationtoken

    async def insert_data(self, data: Row, table_name: str, **more: Any) -> Any:
        assert table_name == "key", table_name
        row = {name: unpacked(value) for name, value in data.items() if name in LiteLLM_VerificationToken.model_fields}
        row["token"] = proxy_server.hash_token(data["token"])
        stored = LiteLLM_VerificationToken(**row)
        self.keys.rows[row["token"]] = stored
        return stored

    async def update_data(self, token: str, data: Row, **more: Any) -> Row:
        row = self.keys.rows[digest(token)]
        for name in set(data) & set(LiteLLM_VerificationToken.model_fields) - {"token"}:
            setattr(row, name, data[name])
        return {"token": row.token, "data": dict(data)}

    async def delete_data(self, tokens: list[str], **more: Any) -> Row:
        for token in tokens:
            del self.keys.rows[digest(token)]
        return {"deleted_keys": tokens}

    async def get_data(self, token: str | None = None, **more: Any) -> Any:
        return None

    def jsonify_object(self, data: Row) -> Row:
        return data


def unpacked(value: Any) -> Any:
    """A column that LiteLLM keeps as JSON text."""
    return json.loads(value) if isinstance(value, str) and value[:1] in {"{", "["} else value


def digest(token: str) -> str:
    return str(proxy_server.hash_token(token)) if token.startswith("sk-") else token


async def show(send: Any, what: Any) -> None:
    """Answers a test with JSON."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(what).encode()})


def stored(memory: Memory) -> Any:
    """What the table has: alias, budget, period, allowed routes, metadata."""
    return [
        [row.key_alias, row.max_budget, row.budget_duration, row.allowed_routes, row.metadata]
        for row in memory.keys.rows.values()
    ]


def fields() -> Any:
    """The fields that each path of key management knows."""
    types = {"/key/generate": GenerateKeyRequest, "/key/update": UpdateKeyRequest, "/key/delete": KeyRequest}
    return {path: sorted(known.model_fields) for path, known in types.items()}


async def main() -> None:
    memory = Memory()
    proxy_server.prisma_client = memory
    proxy_server.master_key = os.environ["MASTER_KEY"]
    proxy_server.general_settings = {"master_key": os.environ["MASTER_KEY"]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/test/stored":
            await show(send, stored(memory))
        elif scope["path"] == "/test/fields":
            await show(send, fields())
        else:
            await proxy_server.app(scope, receive, send)

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    # No life cycle: it would look for the database and for models.
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="error", access_log=False))
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main())
