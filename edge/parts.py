"""Builds the whole edge from its settings, and takes it down in the order that loses nothing."""

import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from edge.api import playground
from edge.api.tokens import Tokens
from edge.app import Edge
from edge.clients import Clients
from edge.dashboard import Dashboard
from edge.deps import Deps
from edge.errors import EdgeError
from edge.limits.buckets import Buckets
from edge.limits.rates import Rates
from edge.limits.throttle import Throttle
from edge.lookup.accounts import Accounts
from edge.lookup.api_keys import ApiKeys
from edge.lookup.catalogue import Catalogue, Route
from edge.lookup.invalidation import Invalidation
from edge.lookup.meters import LookupMeters
from edge.money.path import MoneyPath
from edge.overload import Overload
from edge.settings import EdgeSettings
from edge.tasks import Tasks
from edge.upstream.clients import make_client
from edge.upstream.fleet import Fleet
from edge.upstream.getter import Getter
from edge.upstream.looks import Looks
from edge.upstream.probes import ProbePace
from edge.upstream.watching import Watch
from edge.v1.callers import Callers
from edge.v1.endpoints import ENDPOINTS
from edge.v1.exchange import Patience, Running
from edge.v1.idempotency import Idempotency
from edge.v1.inference import Inference, Parts
from edge.v1.quote import QuoteParts
from edge.v1.reaching import Upstreams
from edge.v1.routers import v1_routers
from edge.v1.tickets import Tickets
from kit.bus import Bus
from kit.clock import Clock, utc_now
from kit.ids import IdFactory
from kit.settings import text_of
from kit.tls import Tls


@dataclass
class Built:
    """A working edge."""

    edge: Edge
    running: Running
    drain_s: float
    draining: bool = False

    async def drain(self) -> None:
        """Ask for no more traffic, and give running answers their time; none is running afterwards."""
        self.draining = True
        await self.running.drain(self.drain_s)


@asynccontextmanager
async def built(settings: EdgeSettings, *, clock: Clock = utc_now) -> AsyncIterator[Built]:
    """The edge; a service may be away. OSError or sqlite3.Error where the journal cannot be made.

    At the end, money is settled while everything that this needs still works.
    """
    async with AsyncExitStack() as stack:
        tls = Tls.of(settings.tls_dir)
        if tls:
            watching = Tasks()
            stack.push_async_callback(watching.close)
            watching.start("certificates", tls.watch)
        clients = Clients.connect(settings, tls=tls)
        stack.push_async_callback(clients.close)
        bus = await Bus.connect(settings.redis_url)
        stack.push_async_callback(bus.close)
        buckets = Buckets(settings.redis_url)
        stack.push_async_callback(buckets.close)
        # So that the first request finds a connection, and Valkey the script.
        await buckets.take()
        upstream = make_client(settings.upstream_client)
        stack.push_async_callback(upstream.close)
        money = MoneyPath(
            clients.billing,
            clients.usage,
            journal_dir=settings.edge_journal_dir,
            synchronous=settings.edge_journal_sync.value,
            pace=settings.edge_pace,
        )
        stack.push_async_callback(money.close)
        await money.start()

        api_keys, accounts, catalogue = ApiKeys(clients.auth), Accounts(clients.billing), Catalogue(clients.catalog)
        stack.push_async_callback(api_keys.close)
        stack.push_async_callback(accounts.close)
        remembered = LookupMeters(api_keys=api_keys, accounts=accounts, catalogue=catalogue)
        remembered.show()
        stack.callback(remembered.hide)
        invalidation = Invalidation(
            bus, clients.auth, clients.billing, api_keys=api_keys, accounts=accounts, catalogue=catalogue, money=money
        )
        stack.push_async_callback(invalidation.close)
        await invalidation.start()

        draw = random.Random(os.urandom(16)).random  # noqa: S311 (it spreads load, it guards nothing)
        looks = Looks()
        fleet = await stack.enter_async_context(_fleet(catalogue, looks, draw))
        idempotency = Idempotency(clients.usage)
        stack.push_async_callback(idempotency.close)

        overload = Overload()
        stack.callback(overload.close)
        ids, rates = IdFactory(), Rates(buckets)
        running = Running(Patience(), lambda route, now_s: looks.first_byte_s(route, now_s=now_s))
        callers = Callers(api_keys=api_keys, accounts=accounts, catalogue=catalogue)
        inference = Inference(
            Parts(
                callers=callers,
                tickets=Tickets(rates, idempotency),
                money=money,
                upstreams=Upstreams(upstream, fleet, looks),
                running=running,
                new_id=ids.text,
                now_ns=time.time_ns,
                is_overloaded=overload.is_on,
            )
        )

        async def is_fit() -> dict[str, bool]:
            return {
                "catalogue": _has_snapshot(catalogue),
                "money": await money.ready(),
                "running": not whole.draining,
            }

        deps = Deps(
            settings=settings,
            clients=clients,
            catalogue=catalogue,
            throttle=Throttle(buckets),
            tokens=_tokens(settings, clock),
            ids=ids,
            clock=clock,
            is_fit=is_fit,
            fleet=fleet,
        )
        raw = {path: partial(inference, endpoint) for path, endpoint in ENDPOINTS.items()}
        raw[playground.PATH] = partial(playground.answer, deps, inference)
        quotes = QuoteParts(callers=callers, rates=rates, fleet=fleet, billing=clients.billing, money=money)
        v1 = v1_routers(quotes=quotes, callers=callers, rates=rates)
        pages = Dashboard.read(settings.dashboard_dir)
        whole = Built(Edge(deps, raw=raw, v1=v1, pages=pages), running, settings.edge_drain_s)
        yield whole


def _tokens(settings: EdgeSettings, clock: Clock) -> Tokens:
    return Tokens(settings.jwt_secret.get_secret_value(), previous=text_of(settings.jwt_secret_previous), clock=clock)


@asynccontextmanager
async def _fleet(catalogue: Catalogue, looks: Looks, draw: Callable[[], float]) -> AsyncIterator[Fleet]:
    """The upstreams, watched by probes."""

    def routes() -> Iterator[Route]:
        for model in catalogue.current().models.values():
            yield from model.routes

    pace = ProbePace()
    # Its own deadline is first, so that what is known of a silent upstream is noted as well.
    getter = Getter(timeout_s=0.9 * pace.deadline_s)
    watch = Watch(getter, looks, routes=routes, now_s=time.monotonic)
    fleet = Fleet(
        catalogue.current,
        watch.ask,
        random=draw,
        rank=lambda candidate: looks.rank(candidate.route),
        forget_others=watch.forget_others,
        probe_pace=pace,
    )
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.close()
        await getter.close()


def _has_snapshot(catalogue: Catalogue) -> bool:
    try:
        catalogue.current()
    except EdgeError:
        return False
    return True
