"""docker-compose.yml without an engine: its commands, with its environments and the secrets that it hands out, run from
what the image copies. So nothing of the repository is needed but that, and no container lacks a variable.
"""

import asyncio
import json
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from deploy.certificates import bring_up_to_date
from deploy.compose import secrets
from deploy.local import health
from deploy.local.postgres import Postgres
from kit.clock import utc_now
from tests.support import compose
from tests.support.compose import SECRETS
from tests.support.image import Image
from tests.support.stack import until

CORES = ("auth", "catalog", "billing", "usage")


class Host:
    """Runs containers' commands on this machine; what they call by name is here on ports of its own."""

    def __init__(self, root: Path, *, database_port: int, redis_url: str) -> None:
        self.image = Image(root)
        self.ports_file = root / "ports.json"
        self._root = root
        self._services = compose.rendered("*")["services"]
        self._secrets = root / "secrets"
        self._secrets.mkdir()
        self._certificates = root / "certificates"
        self._database_port = database_port
        self._redis_url = redis_url
        self._ports = {name: free_port() for core in CORES for name in (core, f"{core} health")}

    def once(self, container: str, command: list[str] | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """A container's command, or another one typed into it, run to its end."""
        told = [self._here(part.replace("$$", "$"), container) for part in self._services[container]["command"]]
        return subprocess.run(
            [*(self._services[container].get("entrypoint") or []), *(command or told)],
            env={**self._environment(container), **more},
            cwd=self.image.app,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def hand_out(self) -> None:
        """The step `secrets`; then the server is where it is here."""
        done = self.once("secrets", SECRETS_ROOT=str(self._secrets))
        assert (done.returncode, done.stderr) == (0, "")
        for file in self._secrets.glob("*/*"):
            file.chmod(0o600)
            file.write_text(file.read_text().replace(secrets.SERVER, f"127.0.0.1:{self._database_port}"))

    def certify(self) -> None:
        """The step `certificates`; then services are also believed at their addresses here."""
        done = self.once("certificates")
        assert (done.returncode, done.stderr) == (0, "")
        assert {folder.name for folder in self._certificates.iterdir() if folder.is_dir()} == {
            *("authority", "edge", "operator"),
            *CORES,
        }
        identities = {name: [name, "127.0.0.1"] for name in CORES}
        assert bring_up_to_date(self._certificates, identities, now=utc_now()) == list(CORES)

    def secret(self, container: str, name: str) -> str:
        return (self._secrets / container / name).read_text()

    @contextmanager
    def running(self, *containers: str, **more: str) -> Iterator[None]:
        """Containers that serve, all started at once, until they are healthy; stopped in the end."""
        with ExitStack() as processes:
            started = {name: processes.enter_context(self._started(name, more)) for name in containers}
            for name, process in started.items():
                until(lambda: self._serves(name, process), within_s=60, what=lambda: self._log(name).read_text())  # noqa: B023
            yield
            for process in started.values():
                process.terminate()
            for name, process in started.items():
                assert process.wait(60) == 0, self._log(name).read_text()

    @contextmanager
    def _started(self, container: str, more: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
        with (
            self._log(container).open("w") as log,
            subprocess.Popen(
                self._services[container]["command"],
                env={**self._environment(container), **(more if container == "api" else {})},
                cwd=self.image.app,
                stdout=log,
                stderr=log,
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def _log(self, container: str) -> Path:
        return self._root / f"{container}.log"

    def _serves(self, container: str, process: "subprocess.Popen[bytes]") -> bool:
        """As the health check asks, but without a Python of its own each time."""
        assert process.poll() is None, self._log(container).read_text()
        if container == "api":
            return self.ports_file.exists()
        return health.service_is_ready(f"127.0.0.1:{self._ports[f'{container} health']}")

    def health_check(self, container: str) -> int:
        """The exit status of a container's own health check."""
        test = self._services[container]["healthcheck"]["test"][1:]
        return self.once(container, [self._here(part, container) for part in test]).returncode

    def _environment(self, container: str) -> dict[str, str]:
        told = {
            name: self._here(value, container)
            for name, value in (self._services[container].get("environment") or {}).items()
        }
        return {"PATH": f"{self.image.bin}:/usr/bin:/bin", **told}

    def _here(self, text: str, container: str) -> str:
        """Addresses and paths of the containers as they are on this machine."""
        here = {
            "redis://redis:6379/0": self._redis_url,
            "127.0.0.1:50060": f"127.0.0.1:{self._ports.get(f'{container} health')}",
            "/run/privaterouter/secrets": str(self._secrets / container),
            "/run/privaterouter/certificates": str(self._certificates / ("edge" if container == "api" else container)),
            "/var/lib/privaterouter/certificates": str(self._certificates),
            "/var/lib/privaterouter/journal": str(self._root / "journal"),
            "9464": "0",
        }
        for number, core in enumerate(CORES, 50051):
            for address in (f"0.0.0.0:{number}", f"dns:///{core}:{number}"):
                here[address] = f"127.0.0.1:{self._ports[core]}"
        return here.get(text, text)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> Iterator[Host]:
    """A machine with PostgreSQL as its image makes it: a superuser with the password of `.env`, and nothing else."""
    tmp_path = tmp_path_factory.mktemp("containers")
    port = free_port()
    with Postgres(tmp_path / "postgres", port=port, fsync=False) as server:
        password = SECRETS["POSTGRES_PASSWORD"]
        url = server.url.replace("/privaterouter?", "/postgres?").replace("port=5432", f"port={port}")
        asyncio.run(execute(url, f"ALTER ROLE postgres PASSWORD '{password}'", "DROP DATABASE privaterouter"))
        made = Host(tmp_path / "host", database_port=port, redis_url=valkey)
        made.hand_out()
        made.certify()
        yield made


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def test_the_stack_starts_from_its_secrets_and_what_people_type_into_it_works(host: Host) -> None:
    migrated = host.once("migrate")
    assert migrated.returncode == 0, migrated.stdout + migrated.stderr
    assert "Catalogue seeded: 6 models, 5 plans, upstreams from UPSTREAM_KIND=litellm" in migrated.stdout
    owners_are_kept_apart(host)
    with host.running(
        *CORES, "api", EDGE_HOST="127.0.0.1", EDGE_PORT="0", DASHBOARD_PORT="0", EDGE_PORTS_FILE=str(host.ports_file)
    ):
        url = f"http://127.0.0.1:{json.loads(host.ports_file.read_text())['api_port']}"
        assert httpx.get(f"{url}/health").json() == {"status": "ok"}
        assert host.health_check("auth") == 0
        until(lambda: httpx.get(f"{url}/health/ready").json()["status"] == "ok", within_s=10)
        assert sign_up(url)["email"] == "alice@example.com"
        in_the_api_container(host)
        as_an_operator(host)
        backed_up = host.once("migrate", ["privaterouter", "backup", str(host.image.app.parent / "before.zip")])
        assert backed_up.returncode == 0, backed_up.stderr
    assert host.health_check("auth") == 1


def owners_are_kept_apart(host: Host) -> None:
    """LiteLLM owns its database and cannot even look into ours; our owner is no superuser."""
    exported = dict(
        line.removeprefix("export ").split("=", 1) for line in host.secret("litellm", "environment").splitlines()
    )
    litellm_url = shlex.split(exported["DATABASE_URL"])[0]
    asyncio.run(execute(litellm_url, "CREATE TABLE its_own (id int)"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(execute(litellm_url.removesuffix("/litellm") + "/privaterouter"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        asyncio.run(execute(host.secret("api", "database_url"), "ALTER ROLE litellm SUPERUSER"))


def sign_up(url: str) -> dict[str, Any]:
    answer = httpx.post(
        f"{url}/api/auth/signup",
        json={"email": "alice@example.com", "password": "correct-horse-battery-staple", "name": "Alice"},
    )
    assert answer.status_code == 201, answer.text
    user: dict[str, Any] = answer.json()["user"]
    return user


def in_the_api_container(host: Host) -> None:
    """`docker compose exec api ...`, by its environment and its files."""
    current = host.once("api", ["alembic", "current"])
    assert current.returncode == 0, current.stderr
    assert [line for line in current.stdout.splitlines() if line.endswith(":")] == [
        "auth:",
        "catalog:",
        "billing:",
        "usage:",
    ]
    assert current.stdout.count("(head)") == 4
    upgraded = host.once("api", ["alembic", "upgrade", "head"])
    assert upgraded.returncode == 0, upgraded.stderr
    seeded = host.once("api", ["python", "-m", "scripts.seed"])
    assert seeded.returncode == 0, seeded.stderr
    assert seeded.stdout.startswith("Catalogue up to date: 6 models, 5 plans")


def as_an_operator(host: Host) -> None:
    """`docker compose run --rm operator ...`; what only operators may do is refused to the edge's certificate."""
    listed = host.once("operator", ["admin", "list-users"])
    assert "alice@example.com" in listed.stdout, listed.stderr
    assert host.once("operator", ["ledger", "verify"]).returncode == 0
    refused = host.once("api", ["privaterouter", "ledger", "verify"])
    assert refused.stderr == "Edge may not call /privaterouter.billing.v1.BillingService/VerifyLedger.\n"


def test_a_password_that_the_server_was_not_made_with_is_said_in_a_line(host: Host) -> None:
    address = host.secret("migrate", "superuser_database_url").replace(SECRETS["POSTGRES_PASSWORD"], "another")
    done = host.once("migrate", SUPERUSER_DATABASE_URL=address)
    assert done.returncode == 1
    assert done.stderr.startswith("PostgreSQL does not take POSTGRES_PASSWORD, since its data was made with another")
    assert done.stderr.count("\n") == 1
