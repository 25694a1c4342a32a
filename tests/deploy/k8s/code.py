"""What the code says that manifests must agree with: settings, ports, times, callers."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Final

from cli.migrate import MigrateSettings
from cli.settings import CliSettings
from edge.money.pace import Pace
from edge.server import GRACE_S
from edge.settings import EdgeSettings
from kit import server
from kit.settings import Settings
from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.catalog.settings import CatalogSettings, SeedSettings
from services.usage.settings import UsageSettings
from tests.support.manifests import Manifest

SERVICES: Final = ("auth", "catalog", "billing", "usage")
OURS: Final = ("edge", *SERVICES)
IMAGE: Final = "privaterouter"

SETTINGS: Final[Mapping[tuple[str, ...], type[Settings]]] = {
    ("python", "-m", "edge"): EdgeSettings,
    ("python", "-m", "services.auth"): AuthSettings,
    ("python", "-m", "services.catalog"): CatalogSettings,
    ("python", "-m", "services.billing"): BillingSettings,
    ("python", "-m", "services.usage"): UsageSettings,
    ("python", "-m", "cli.migrate"): MigrateSettings,
    ("python", "-m", "services.catalog.seed"): SeedSettings,
    ("privaterouter", "reconcile", "--all"): CliSettings,
    ("python", "-c", "import signal; signal.pause()"): CliSettings,
}
"""What each of our commands reads. The last one waits for somebody who types `privaterouter`."""
SECRET: Final = (
    *("_secret", "_secret_key", "_api_key", "_master_key", "_previous", "_next"),
    *("database_url", "redis_url", "_otlp_headers"),
)
"""How the names of settings end that must not stand in a manifest: keys, and addresses with a password."""


def settings_of(container: Manifest) -> type[Settings]:
    """The settings that a container of ours reads. KeyError for a command that nobody knows."""
    return SETTINGS[tuple(container["command"])]


def is_ours(container: Manifest) -> bool:
    """Whether it runs our image."""
    return bool(container["image"].rpartition("/")[2].partition(":")[0].partition("@")[0] == IMAGE)


def is_secret(setting: str) -> bool:
    """Whether a setting of this (lower-case) name must not stand in a manifest."""
    return setting.endswith(SECRET)


def port_of(service: str) -> int:
    """Where a service is, by the edge's defaults."""
    default: str = EdgeSettings.model_fields[f"{service}_addr"].default
    return int(default.rpartition(":")[2])


def drain_s(name: str, told: Mapping[str, str]) -> float:
    """How long a process of ours may take to end, by the environment that it is told."""
    if name == "edge":
        return float(told["EDGE_DRAIN_S"]) + GRACE_S + Pace().close_s
    most: float = inspect.signature(server.serve).parameters["drain_s"].default
    return most + server.HAND_OVER_S


def callers(service: str) -> frozenset[str]:
    """The identities of the processes that call a service at all."""
    table: Mapping[str, frozenset[str]] = importlib.import_module(f"services.{service}.callers").CALLERS
    return frozenset().union(*table.values())
