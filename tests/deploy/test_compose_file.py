"""docker-compose.yml: what starts and when, who reaches whom, and who knows which secret."""

import inspect
import re
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from typing import Any

import pytest

from cli import certificates
from cli.migrate import MigrateSettings
from cli.settings import CliSettings
from deploy.compose import secrets
from deploy.compose.settings import DatabasesSettings, SecretsSettings
from deploy.local.stack import EDGE_GRACE_S
from edge.settings import EdgeSettings
from kit.server import HAND_OVER_S, serve
from kit.settings import Settings
from kit.tracing import TracingSettings
from services.auth.settings import AuthSettings
from services.billing.settings import BillingSettings
from services.catalog.settings import CatalogSettings, SeedSettings
from services.usage.settings import UsageSettings
from tests.support import compose
from tests.support.compose import SECRETS, Service

ONCE = {"certificates", "migrate", "ready", "secrets"}
CORES = {"auth", "billing", "catalog", "usage"}
STARTED = {"api", *CORES, *ONCE}
OURS = {*STARTED, "operator"}
READERS = {"api", *CORES, "migrate"}
"""Read their secrets by SECRETS_DIR."""
PARTS = {"litellm", "postgres", "redis"}
MOUNTED = "/run/privaterouter/secrets"
SETTINGS: dict[str, tuple[type[Settings], ...]] = {
    # Operators type `alembic`, `python -m scripts.seed` and `privaterouter` there.
    "api": (EdgeSettings, MigrateSettings, SeedSettings, CliSettings),
    "auth": (AuthSettings,),
    "billing": (BillingSettings,),
    "catalog": (CatalogSettings,),
    "certificates": (),
    "migrate": (DatabasesSettings, MigrateSettings, SeedSettings),
    "operator": (CliSettings,),
    "ready": (),
    "secrets": (SecretsSettings,),
    "usage": (UsageSettings,),
}
"""What the programs in each container of ours read."""


@cache
def services() -> dict[str, Service]:
    found: dict[str, Service] = compose.rendered("*")["services"]
    return found


def fields(container: str) -> dict[str, bool]:
    """The settings of its programs by the names of their variables, and whether one of them insists on it."""
    needed: dict[str, bool] = {}
    for cls in SETTINGS[container]:
        for name, field in cls.model_fields.items():
            needed[name.upper()] = needed.get(name.upper(), False) or field.is_required()
    return needed


def files(container: str) -> dict[str, str]:
    return secrets.files(compose.secrets_settings())[container]


def test_the_parts_have_the_names_that_people_type() -> None:
    assert set(compose.rendered()["services"]) == STARTED | PARTS
    assert set(compose.rendered("ollama")["services"]) == STARTED | PARTS | {"ollama"}
    assert set(compose.rendered("monitoring")["services"]) == STARTED | PARTS | {"prometheus", "grafana"}
    assert set(compose.rendered("operator")["services"]) == STARTED | PARTS | {"operator"}


def test_ports_are_the_documented_ones_and_only_what_users_come_for_faces_the_network() -> None:
    ports = {
        (name, port.get("host_ip", ""), int(port["published"]), port["target"])
        for name, service in services().items()
        for port in service.get("ports", ())
    }
    assert ports == {
        ("api", "", 8000, 8000),
        ("api", "", 3000, 3000),
        ("litellm", "127.0.0.1", 4010, 4000),
        ("postgres", "127.0.0.1", 5434, 5432),
        ("redis", "127.0.0.1", 6380, 6379),
        ("prometheus", "127.0.0.1", 9090, 9090),
        ("grafana", "127.0.0.1", 3001, 3000),
    }


def test_ports_of_the_api_follow_the_settings() -> None:
    moved = compose.rendered_with({**SECRETS, "EDGE_PORT": "8001", "DASHBOARD_PORT": "3002"})
    assert [int(port["published"]) for port in moved["services"]["api"]["ports"]] == [8001, 3002]


@pytest.mark.parametrize("missing", sorted(SECRETS))
def test_a_missing_or_empty_secret_is_named_with_the_way_to_make_one(missing: str) -> None:
    for variables in ({**SECRETS, missing: ""}, {name: text for name, text in SECRETS.items() if name != missing}):
        done = compose.run("config", "--quiet", variables=variables)
        assert done.returncode != 0
        named = re.findall(r"required variable (\w+) is missing a value: (.*)", done.stderr)
        assert [name for name, _ in named] == [missing]
        assert "openssl rand -hex 32" in named[0][1]


def test_the_example_of_settings_is_enough_once_the_secrets_are_in_it(tmp_path: Any) -> None:
    example = (compose.ROOT / ".env.example").read_text()
    file = tmp_path / ".env"
    filled = re.sub(r"^(\w+)=$", lambda line: f"{line[1]}={SECRETS.get(line[1], '')}", example, flags=re.MULTILINE)
    file.write_text(filled)
    done = compose.run("config", "--format", "json", variables={}, env_file=str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert compose.run("config", "--quiet", variables={}, env_file=str(compose.ROOT / ".env.example")).returncode != 0


def test_no_secret_stands_in_any_environment_but_that_of_the_step_that_hands_them_out() -> None:
    told = {name for name, service in services().items() for text in SECRETS.values() if text in repr(service)}
    assert told == {"secrets"}
    may_be_empty = dict.fromkeys(("APP_SECRET_KEY_PREVIOUS", "JWT_SECRET_PREVIOUS", "OTEL_EXPORTER_OTLP_HEADERS"), "")
    assert services()["secrets"]["environment"] == {**SECRETS, **may_be_empty}
    assert services()["secrets"]["network_mode"] == "none"


def test_each_container_mounts_its_own_secrets_alone_and_cannot_change_them() -> None:
    handed_out = {volume["target"].rpartition("/")[2]: volume["source"] for volume in services()["secrets"]["volumes"]}
    assert handed_out == {container: f"{container}-secrets" for container in (*handed_out,)}
    assert set(handed_out) == set(secrets.files(compose.secrets_settings()))
    mounted = {
        name: (volume["source"], volume["target"], volume["read_only"])
        for name, service in services().items()
        for volume in service.get("volumes", ())
        if name != "secrets" and volume["source"].endswith("-secrets")
    }
    assert mounted == {container: (volume, MOUNTED, True) for container, volume in handed_out.items()}


def test_each_process_shows_its_own_certificate_and_nobody_has_the_authority() -> None:
    """By the volume, whose name is that of the identity."""
    step = services()["certificates"]
    assert step["network_mode"] == "none"
    place = step["command"][-1]
    made = {volume["target"]: volume["source"] for volume in step["volumes"]}
    assert made == {
        place: "authority",
        **{f"{place}/{name}": f"{name}-certificates" for name in certificates.names("")},
    }
    shown = {
        name: (volume["source"], volume["target"], volume["read_only"])
        for name, service in services().items()
        for volume in service.get("volumes", ())
        if name != "certificates" and volume["source"] in made.values()
    }
    identities = {**{core: core for core in CORES}, "api": "edge", "operator": "operator"}
    place = "/run/privaterouter/certificates"
    assert shown == {name: (f"{identity}-certificates", place, True) for name, identity in identities.items()}
    assert {name: services()[name]["environment"]["TLS_DIR"] for name in identities} == dict.fromkeys(identities, place)


@pytest.mark.parametrize("container", sorted(OURS))
def test_every_variable_is_a_setting_of_that_process_and_none_that_it_needs_is_missing(container: str) -> None:
    given = set(services()[container].get("environment", {}))
    known = fields(container)
    in_files = {name.upper() for name in files(container)} if container in READERS else set()
    if container == "migrate":
        # Its last step, the seeding, gets more.
        given |= set(re.findall(r"\b([A-Z_]+)=", services()[container]["command"][-1]))
        in_files.remove("SEED_DATABASE_URL")
    assert given | in_files <= set(known)
    assert not given & in_files
    needed = {name for name, insists in known.items() if insists}
    assert needed <= given | in_files


@pytest.mark.parametrize("container", ["api", *sorted(CORES)])
def test_every_process_is_told_how_to_trace(container: str) -> None:
    """By its environment, but for what may be a credential. Docker Compose reads these as well."""
    given = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
    }
    settings = {name.upper() for name in TracingSettings.model_fields if name.startswith("otel_")}
    assert settings <= set(fields(container))
    assert {name for name in settings if name.lower() in files(container)} == settings - set(given)
    told = compose.rendered_with({**SECRETS, **given})["services"][container]["environment"]
    assert {name: told.get(name) for name in given} == given


def test_a_service_knows_no_secret_but_its_own() -> None:
    known = {container: set(files(container)) - {"otel_exporter_otlp_headers"} for container in CORES}
    assert known == {
        "auth": {"auth_database_url", "app_secret_key", "app_secret_key_previous", "litellm_master_key"},
        "billing": {"billing_database_url"},
        "catalog": {"catalog_database_url", "app_secret_key", "app_secret_key_previous"},
        "usage": {"usage_database_url", "app_secret_key", "app_secret_key_previous"},
    }
    litellm = files("litellm")["environment"]
    assert {name for name, text in SECRETS.items() if text in litellm} == {"LITELLM_MASTER_KEY", "LITELLM_SALT_KEY"}
    assert SECRETS["POSTGRES_PASSWORD"] not in repr(files("api"))
    assert SECRETS["LITELLM_MASTER_KEY"] not in repr(files("api"))


def test_networks_let_nobody_reach_more_than_they_need() -> None:
    whole = compose.rendered("*")
    members: dict[str, set[str]] = {}
    for name, service in whole["services"].items():
        for network in service.get("networks", ()):
            members.setdefault(network, set()).add(name)
    assert members == {
        "published": {"api", "litellm", "postgres", "redis", "prometheus", "grafana"},
        "core": {"api", *CORES, "operator", "prometheus"},
        "data": {"api", "postgres", "migrate", *CORES},
        "litellm-data": {"litellm", "postgres"},
        "cache": {"api", "redis", "migrate", "auth", "billing", "catalog"},
        "proxy": {"api", "auth", "litellm"},
        "models": {"api", "litellm", "ollama", "operator"},
        "monitoring": {"prometheus", "grafana"},
    }
    lead_out = {name for name, network in whole["networks"].items() if not network.get("internal")}
    assert lead_out == {"published", "models"}
    # Containers share it, but do not see one another there.
    assert whole["networks"]["published"]["driver_opts"] == {"com.docker.network.bridge.enable_icc": "false"}


def test_whoever_has_a_port_on_the_host_is_on_the_network_that_can_publish_it() -> None:
    for name, service in services().items():
        assert bool(service.get("ports")) == ("published" in service.get("networks", {})), name


def test_the_start_has_an_order() -> None:
    def waits_for(name: str) -> dict[str, str]:
        return {other: how["condition"] for other, how in services()[name].get("depends_on", {}).items()}

    done, healthy = "service_completed_successfully", "service_healthy"
    migrated = {"secrets": done, "certificates": done, "migrate": done, "postgres": healthy, "redis": healthy}
    assert waits_for("secrets") == waits_for("certificates") == {}
    assert waits_for("operator") == {"certificates": done}
    assert waits_for("postgres") == {"secrets": done}
    assert waits_for("migrate") == {"secrets": done, "postgres": healthy, "redis": healthy}
    for core in CORES:
        assert waits_for(core) == migrated
    assert waits_for("api") == {**migrated, **dict.fromkeys(CORES, healthy)}
    assert waits_for("litellm") == {"secrets": done, "migrate": done, "postgres": healthy}
    assert waits_for("ready") == {"api": healthy, "litellm": healthy}


def test_a_changed_secret_restarts_whoever_reads_it() -> None:
    readers = {name for name in services() if services()[name].get("depends_on", {}).get("secrets", {}).get("restart")}
    assert readers == {"api", *CORES, "litellm", "migrate"}


def test_what_serves_comes_back_and_says_how_it_is() -> None:
    for name, service in services().items():
        assert service["restart"] == ("no" if name in ONCE | {"operator"} else "unless-stopped"), name
        assert service.get("healthcheck", {}).get("disable", False) == (name in ONCE | {"operator"}), name
        if name not in ONCE | {"operator"}:
            assert service["healthcheck"]["test"][0] == "CMD", name


def test_images_are_pinned_and_ours_is_built_once() -> None:
    assert {name for name, service in services().items() if "build" in service} == {"secrets"}
    assert services()["secrets"]["build"]["dockerfile"] == "deploy/Dockerfile"
    for name, service in services().items():
        if name in OURS:
            assert (service["image"], service["pull_policy"]) == ("privaterouter:local", "never")
            assert service["user"] == "10001:10001"
        else:
            assert re.fullmatch(r"[a-z0-9./_-]+:v?\d+(\.\d+)+(-[a-z0-9]+)?", service["image"]), service["image"]


def test_litellm_is_the_release_that_the_tests_run() -> None:
    pinned = re.search(r"litellm\[proxy\]==(\S+)", (compose.ROOT / "requirements/litellm.in").read_text())
    assert pinned
    assert services()["litellm"]["image"].endswith(f":v{pinned[1]}")


def test_nobody_may_more_than_needed() -> None:
    may_write, is_root = set(), set()
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service
        assert "privileged" not in service
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if not service.get("read_only"):
            may_write.add(name)
        if service["user"].split(":")[0] in ("0", "root"):
            is_root.add(name)
    # Both for a reason that the file gives.
    assert may_write == {"litellm"}
    assert is_root == {"ollama"}
    text = (compose.ROOT / "docker-compose.yml").read_text()
    assert re.search(r"# .*\n    read_only: false", text)
    assert re.search(r"# .*\n    user: root", text)


def modules() -> Iterator[tuple[str, str]]:
    """Every module that a container starts as a program, in its command or its health check."""
    for name in OURS:
        service = services()[name]
        test = service["healthcheck"].get("test", [])
        for module in re.findall(r"-m ([\w.]+)", " ".join([*service["command"], *test])):
            yield name, module


def test_commands_and_health_checks_start_programs_that_exist() -> None:
    found = dict.fromkeys(modules())
    assert ("api", "edge") in found
    assert ("usage", "services.usage") in found
    assert ("auth", "kit.health") in found
    for _, module in found:
        spec = find_spec(module)
        assert spec
        runs = find_spec(f"{module}.__main__") if spec.submodule_search_locations else spec
        assert runs
        assert runs.origin
        with open(runs.origin) as file:  # noqa: PTH123
            assert 'if __name__ == "__main__":' in file.read()
    others = {name: service["healthcheck"]["test"][1] for name, service in services().items() if name not in OURS}
    # Each comes with its image.
    assert others == {
        "grafana": "wget",
        "litellm": "python3",
        "ollama": "ollama",
        "postgres": "pg_isready",
        "prometheus": "promtool",
        "redis": "valkey-cli",
    }


def test_services_are_asked_where_they_tell_their_health() -> None:
    for core in CORES:
        listen = services()[core]["environment"]["HEALTH_LISTEN"]
        assert services()[core]["healthcheck"]["test"] == ["CMD", "python", "-m", "kit.health", listen]


def test_addresses_lead_to_where_the_others_listen() -> None:
    listens = {
        name: f"dns:///{name}:{services()[name]['environment'][f'{name.upper()}_LISTEN'].removeprefix('0.0.0.0:')}"
        for name in CORES
    }
    for name in OURS - ONCE:
        environment = services()[name]["environment"]
        for core in CORES & {variable.removesuffix("_ADDR").lower() for variable in environment}:
            assert environment[f"{core.upper()}_ADDR"] == listens[core]


def test_the_edge_has_the_time_to_end_what_runs() -> None:
    drain_s = EdgeSettings.model_fields["edge_drain_s"].default
    assert seconds(services()["api"]["stop_grace_period"]) > drain_s + EDGE_GRACE_S
    serves = inspect.signature(serve).parameters["drain_s"].default + HAND_OVER_S
    assert all(seconds(services()[core]["stop_grace_period"]) > serves for core in CORES)


def seconds(text: str) -> float:
    parts = re.findall(r"(\d+)(m|s)", text)
    return sum(int(number) * {"m": 60, "s": 1}[unit] for number, unit in parts)


def test_data_that_must_not_be_lost_is_in_named_volumes() -> None:
    whole = compose.rendered("*")
    assert {"postgres-data", "journal"} <= set(whole["volumes"])
    places = {
        volume["source"]: volume["target"]
        for name in ("api", "postgres")
        for volume in services()[name]["volumes"]
        if not volume["source"].endswith(("-secrets", "-certificates"))
    }
    assert places == {
        "postgres-data": "/var/lib/postgresql",
        "journal": services()["api"]["environment"]["EDGE_JOURNAL_DIR"],
    }


def test_pages_name_containers_that_exist() -> None:
    pages = [compose.ROOT / "README.md", *(compose.ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text() for page in pages)
    named = re.findall(r"docker compose\s(?:exec|logs|restart|run)\s(?:-\S+\s)*([a-z]+)", text)
    assert {"api", "postgres", "ollama"} <= set(named) <= set(services())
