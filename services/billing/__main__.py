"""Serves accounts, the ledger and leases: `python -m services.billing`."""

from functools import partial

from kit import logs, metrics, starting, tracing
from kit.bus import Bus
from kit.client import channel
from kit.clock import utc_now
from kit.database import Database
from kit.ids import IdFactory
from kit.server import run, serve
from kit.settings import load
from kit.sweep import sweep
from kit.tls import Tls
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import add_BillingServiceServicer_to_server
from privaterouter.catalog.v1 import catalog_pb2
from services.billing import retention
from services.billing.announcements import Announcer
from services.billing.callers import CALLERS
from services.billing.plans import Plans
from services.billing.servicer import BillingServicer
from services.billing.settings import BillingSettings
from services.billing.uptime import Uptime
from services.billing.watch import Watch


async def main(settings: BillingSettings) -> None:
    """Serve until told to stop."""
    await starting.wait_for(
        starting.schema("billing", settings.billing_database_url, allow_newer=settings.allow_newer_schema),
        starting.valkey(settings.redis_url),
        within_s=settings.start_within_s,
    )
    tls = Tls.of(settings.tls_dir)
    database = await Database.connect(settings.billing_database_url, application_name="billing")
    bus = await Bus.connect(settings.redis_url)
    catalog = channel(settings.catalog_addr, catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"], tls=tls)
    announcer = Announcer(bus)
    servicer = BillingServicer(
        database, announcer=announcer, plans=Plans(catalog), clock=utc_now, ids=IdFactory(), terms=settings.terms()
    )
    uptime = Uptime(database, clock=utc_now, interval_s=settings.billing_beat_s)
    watch = Watch(database, clock=utc_now)
    sweeping = [
        partial(sweep, database, "billing.leases", retention.delete_leases, clock=utc_now),
        partial(sweep, database, "billing.account_changes", retention.delete_changes, clock=utc_now),
    ]
    try:
        await serve(
            name="billing",
            listen=settings.billing_listen,
            register=lambda server: add_BillingServiceServicer_to_server(servicer, server),
            services=[billing_pb2.DESCRIPTOR.services_by_name["BillingService"].full_name],
            ready=database.ping,
            background=[uptime.run, announcer.run, watch.run, *sweeping],
            tls=tls,
            callers=CALLERS,
            health_listen=settings.health_listen,
        )
    finally:
        await catalog.close()
        await bus.close()
        await database.close()


if __name__ == "__main__":
    configured = load(BillingSettings)
    logs.configure("billing", level=configured.log_level)
    tracing.start("billing", configured)
    metrics.start(configured.metrics_port)
    run(main(configured))
