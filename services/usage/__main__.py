"""`python -m services.usage`: builds the usage service from its settings and serves it."""

from functools import partial

import grpc

from kit import metrics, starting
from kit.client import channel
from kit.database import Database
from kit.logs import configure
from kit.secrets import sealer
from kit.server import run, serve
from kit.settings import load, text_of
from kit.tls import Tls
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from privaterouter.usage.v1 import usage_pb2
from privaterouter.usage.v1.usage_pb2_grpc import add_UsageServiceServicer_to_server
from services.usage.callers import CALLERS
from services.usage.idempotency import Answers, purge
from services.usage.leftovers import LeftLeases
from services.usage.partitions import keep_months
from services.usage.relay import Relay
from services.usage.servicer import UsageServicer
from services.usage.settings import UsageSettings
from services.usage.watch import Watch
from services.usage.workers import LostWorkers

BILLING = billing_pb2.DESCRIPTOR.services_by_name["BillingService"]
USAGE = usage_pb2.DESCRIPTOR.services_by_name["UsageService"]


async def main(settings: UsageSettings) -> None:
    """Serves until told to stop."""
    await starting.wait_for(
        starting.schema("usage", settings.usage_database_url, allow_newer=settings.allow_newer_schema),
        within_s=settings.start_within_s,
    )
    metrics.start(settings.metrics_port)
    tls = Tls.of(settings.tls_dir)
    database = await Database.connect(settings.usage_database_url, application_name="usage")
    billing = channel(settings.billing_addr, BILLING, tls=tls)
    lost_workers = LostWorkers(
        database,
        lost_after_s=settings.usage_lost_after_s,
        forgotten_after_s=settings.usage_forgotten_after_s,
    )
    stub = BillingServiceStub(billing)
    relay = Relay(database, stub, lost_workers, interval_s=settings.usage_settle_interval_s)
    left_leases = LeftLeases(database, stub, lost_after_s=settings.usage_lost_after_s)
    watch = Watch(database, stub, left_leases)
    secret, previous = text_of(settings.app_secret_key), text_of(settings.app_secret_key_previous)
    answers = Answers(sealer(secret, "usage: kept answers", previous=previous))
    servicer = UsageServicer(database, relay, billing=stub, left_leases=left_leases, answers=answers)

    def register(server: grpc.aio.Server) -> None:
        add_UsageServiceServicer_to_server(servicer, server)

    try:
        await serve(
            name="usage",
            listen=settings.usage_listen,
            register=register,
            services=[USAGE.full_name],
            ready=database.ping,
            background=[relay.run, partial(keep_months, database), partial(purge, database), watch.run],
            tls=tls,
            callers=CALLERS,
            health_listen=settings.health_listen,
        )
    finally:
        await billing.close()
        await database.close()


if __name__ == "__main__":
    loaded = load(UsageSettings)
    configure("usage", level=loaded.log_level)
    run(main(loaded))
