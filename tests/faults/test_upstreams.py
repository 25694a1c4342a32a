"""One of three upstreams dies, hangs, slows down or lies under fifty streams: its clients are served by the others."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import aiohttp
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from privaterouter.catalog.v1 import catalog_pb2
from tests.faults.clients import Crowd, Wish
from tests.faults.cluster import EDGES, UPSTREAMS, Cluster
from tests.faults.driver import LONG, RICH_NANOS, SEED, SIZE, note
from tests.faults.links import Link
from tests.faults.office import MODEL, Customer, Office
from tests.faults.verdict import judge
from tests.support.waiting import eventually

CROWD = 50
VICTIM = UPSTREAMS[1]
FIRST_BYTE_MS, IDLE_MS = 2_000, 4_000
"""Much longer than a healthy upstream takes here, much shorter than in production."""
BACK_WITHIN_S = 60.0
"""One that lies answers its probes, so it is tried again only when its ejection ends, after 30 s."""

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(600)]


@dataclass
class Fleet:
    """The three, each behind a link of its own: one that dies must not take its tally along."""

    cluster: Cluster
    links: dict[str, Link]

    async def kill(self) -> None:
        """The victim's connections are reset, and no new one is made."""
        self.links[VICTIM].refusing = True
        self.links[VICTIM].reset()

    async def hang(self) -> None:
        """The victim takes connections and says nothing."""
        self.cluster.pause(VICTIM)

    async def slow(self) -> None:
        """The victim takes its time for every head."""
        await self._feel({"before_headers_s": 0.7})

    async def lie(self) -> None:
        """The victim fails at once, which makes it the least busy of all."""
        await self._feel({"status": 500, "body": "<html>Bad Gateway</html>"})

    async def heal(self) -> None:
        """The victim is well."""
        self.links[VICTIM].heal()
        self.cluster.go_on(VICTIM)
        await self._feel({})

    async def asked(self) -> int:
        """How many requests the victim has seen."""
        async with aiohttp.ClientSession() as session, session.get(f"{self._url}/tally") as answer:
            return len(await answer.json())

    async def _feel(self, mood: dict[str, object]) -> None:
        async with aiohttp.ClientSession() as session, session.post(f"{self._url}/mood", json=mood) as answer:
            assert answer.status == 200

    @property
    def _url(self) -> str:
        return self.cluster.upstreams[UPSTREAMS.index(VICTIM)]


Harm = Callable[[Fleet], Awaitable[None]]
HARMS = (Fleet.kill, Fleet.hang, Fleet.slow, Fleet.lie)


@asynccontextmanager
async def _three(cluster: Cluster, office: Office) -> AsyncIterator[Fleet]:
    """The model is served by three upstreams of the same weight, and by the one of before when this is over."""
    before = (await office.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())).models
    links: dict[str, Link] = {}
    for name in UPSTREAMS:
        if not cluster.has(name):
            await cluster.start(name)
        links[name] = Link(name, "127.0.0.1:0", partial(cluster.upstream_address, name))
        await links[name].start()
        upstream = catalog_pb2.Upstream(
            name=name, kind=catalog_pb2.UPSTREAM_KIND_OPENAI, base_url=f"http://{links[name].address}"
        )
        await office.catalog.SetUpstream(catalog_pb2.SetUpstreamRequest(upstream=upstream))
    routes = [
        catalog_pb2.Route(
            upstream_name=name,
            upstream_model="hidden",
            weight=1,
            first_byte_timeout_ms=FIRST_BYTE_MS,
            idle_timeout_ms=IDLE_MS,
        )
        for name in UPSTREAMS
    ]
    await _route(office, routes)
    try:
        yield Fleet(cluster, links)
    finally:
        await _route(office, [route for model in before if model.public_name == MODEL for route in model.routes])
        for link in links.values():
            await link.close()


async def _route(office: Office, routes: list[catalog_pb2.Route]) -> None:
    await office.catalog.UpdateModel(
        catalog_pb2.UpdateModelRequest(
            model=catalog_pb2.Model(public_name=MODEL, routes=routes), update_mask=FieldMask(paths=["routes"])
        )
    )


@pytest.mark.parametrize(
    "harm",
    [HARMS[0], *(pytest.param(harm, marks=LONG) for harm in HARMS[1:])],
    ids=[harm.__name__ for harm in HARMS],
)
async def test_one_of_three_upstreams_fails_under_fifty_streams(cluster: Cluster, office: Office, harm: Harm) -> None:
    """Nobody sees a failure before the first byte, it is left alone soon, and served again when it is well."""
    begun_s = asyncio.get_running_loop().time()
    name = f"one of three upstreams: {harm.__name__}"
    customer = await office.customer(RICH_NANOS, keys=2)
    async with _three(cluster, office) as fleet:

        async def asked_since(count: int) -> bool:
            return await fleet.asked() > count

        crowd = Crowd(cluster, [customer], seed=f"{SEED}/{name}", size=CROWD, wish=_wish)
        try:
            await eventually(partial(asked_since, 0), within_s=20, what="a first request of the victim")
            await harm(fleet)
            await asyncio.sleep(max(4.0, SIZE.outage_s / 4))
        finally:
            await fleet.heal()
            served = await fleet.asked()
        await eventually(partial(asked_since, served + 10), within_s=BACK_WITHIN_S, what="requests of the victim again")
        seen = await crowd.stop()
        verdict = await judge(cluster, [customer], seen)
    note(name, verdict, begun_s=begun_s)
    verdict.hold()
    failed = [one for one in seen if not one.tokens and one.error_code.startswith("upstream_")]
    assert failed == [], "a failure before the first byte"
    failures = await _failures(cluster, customer)
    # Five in a row eject it; what was on its way there then may fail as well, and each trial of one edge.
    assert failures <= len(EDGES) * 8 + CROWD, f"it was asked {failures} times in vain"


def _wish(rng: random.Random, nonce: str, customer: Customer) -> Wish:
    return Wish(
        nonce=nonce,
        secret=rng.choice(customer.secrets),
        account_id=customer.account_id,
        edge=rng.choice(EDGES),
        max_tokens=rng.choice((1, 5, 20)),
        script={"before_token_s": 0.02},
    )


async def _failures(cluster: Cluster, customer: Customer) -> int:
    """How often the victim was asked in vain for this customer, by the attempts on the records."""
    connection = await cluster.connect()
    try:
        return int(
            await connection.fetchval(
                "SELECT count(*) FROM usage.usage_records, jsonb_array_elements(attempts) AS attempt"
                " WHERE account_id = $1 AND attempt ->> 'upstream_name' = $2 AND attempt ->> 'error_code' <> ''",
                UUID(customer.account_id),
                VICTIM,
            )
        )
    finally:
        await connection.close()
