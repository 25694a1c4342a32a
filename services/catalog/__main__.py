"""Serves the catalogue: `python -m services.catalog`."""

from kit import logs, metrics, starting
from kit.bus import Bus
from kit.clock import utc_now
from kit.database import Database
from kit.ids import IdFactory
from kit.logs import get_logger
from kit.server import run, serve
from kit.settings import load, text_of
from kit.tls import Tls
from privaterouter.catalog.v1 import catalog_pb2
from privaterouter.catalog.v1.catalog_pb2_grpc import add_CatalogServiceServicer_to_server
from services.catalog.callers import CALLERS
from services.catalog.servicer import CatalogServicer
from services.catalog.settings import CatalogSettings
from services.catalog.upstreams import Credentials, renew_seals


async def main(settings: CatalogSettings) -> None:
    """Serve until told to stop."""
    await starting.wait_for(
        starting.schema("catalog", settings.catalog_database_url, allow_newer=settings.allow_newer_schema),
        starting.valkey(settings.redis_url),
        within_s=settings.start_within_s,
    )
    database = await Database.connect(settings.catalog_database_url, application_name="catalog")
    bus = await Bus.connect(settings.redis_url)
    credentials = Credentials(text_of(settings.app_secret_key), previous=text_of(settings.app_secret_key_previous))
    servicer = CatalogServicer(
        database,
        bus=bus,
        credentials=credentials,
        clock=utc_now,
        ids=IdFactory(),
    )
    try:
        if settings.app_secret_key_previous:
            async with database.transaction() as connection:
                get_logger().info("seals_renewed", count=await renew_seals(connection, credentials))
        await serve(
            name="catalog",
            listen=settings.catalog_listen,
            register=lambda server: add_CatalogServiceServicer_to_server(servicer, server),
            services=[catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name],
            ready=database.ping,
            tls=Tls.of(settings.tls_dir),
            callers=CALLERS,
            health_listen=settings.health_listen,
        )
    finally:
        await bus.close()
        await database.close()


if __name__ == "__main__":
    configured = load(CatalogSettings)
    logs.configure("catalog", level=configured.log_level)
    metrics.start(configured.metrics_port)
    run(main(configured))
