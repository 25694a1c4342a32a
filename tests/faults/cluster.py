"""The whole system as real processes that can be killed by name, with a bad network between any two of them."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import asyncpg

from deploy.local.postgres import DATABASE, SOCKET_PORT, Postgres
from deploy.local.process import Child, StackError, remove_directory
from deploy.local.valkey import Valkey
from kit import client, dsn, migrations
from kit.health import is_serving
from tests.faults.links import Address, Link
from tests.faults.pace import TIMES
from tests.faults.template import ROOT, Template
from tests.support.databases import APP_SECRET
from tests.support.services import JWT_SECRET

SERVICES = ("catalog", "billing", "usage", "auth")
EDGES = ("edge-a", "edge-b")
UPSTREAMS = ("upstream", "upstream-2", "upstream-3")
"""The first serves every run; the others are started where one is not enough."""
READY_WITHIN_S = 40.0
_REACHED = '"fault_reached"'
_POSTGRES_SOCKET = f".s.PGSQL.{SOCKET_PORT}"


class Cluster:
    """Postgres, Valkey, the four services, two edges and an upstream that keeps a tally.

    cluster.kill("billing"); await cluster.start("billing", faults="billing.settle.after_commit=kill")
    cluster.links["edge-a:usage"].hold()
    """

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are more variables for every process."""
        self.directory = directory
        self.links: dict[str, Link] = {}
        self.kills = 0
        self.postgres = Postgres(directory / "postgres")
        self._settings = dict(settings or {})
        self._valkey = Valkey(directory / "valkey")
        self._children: dict[str, Child] = {}
        self._templates: dict[str, Template] = {}
        self._altered: dict[str, bool] = {}
        self._starts = 0
        # The kernel ends children with the thread that started them: one thread, for as long as the cluster.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="starter")

    @property
    def upstreams(self) -> list[str]:
        """Base URLs of the upstreams that were started, past the link."""
        return [f"http://{self.upstream_address(name)}" for name in UPSTREAMS if self.has(name)]

    def has(self, name: str) -> bool:
        """Whether this process was ever started."""
        return name in self._children

    @property
    def valkey_url(self) -> str:
        """Valkey, past all links."""
        return self._valkey.url

    def journal_dir(self, edge: str) -> Path:
        """Where an edge has its journal: by default both have the same directory."""
        return Path(self._settings.get(f"{edge.upper()}_JOURNAL_DIR", self.directory / "journal"))

    def api_url(self, edge: str) -> str:
        """Where an edge listens now; OSError while it does not."""
        return f"http://127.0.0.1:{self._ports(edge)['api_port']}"

    def metrics_url(self, edge: str) -> str:
        """Where its metrics are."""
        return f"http://127.0.0.1:{self._ports(edge)['metrics_port']}/metrics"

    def address(self, service: str) -> Address:
        """Where a service listens, past all links."""
        return f"unix:{self.directory}/{service}.sock"

    def pid(self, name: str) -> int:
        """Process id."""
        return self._child(name).pid

    def exit_code(self, name: str) -> int | None:
        """None while it runs."""
        return self._child(name).exit_code()

    def logs(self, name: str) -> str:
        """All that a process and its forerunners have logged, oldest first."""
        found = self.directory.glob(f"{name}.*.log")
        return "".join(path.read_text(errors="replace") for path in sorted(found))

    def reached(self, name: str) -> set[str]:
        """The crash points at which the process that runs now, or ran last, has failed as it was told."""
        events = (line for line in self._child(name).log.read_text(errors="replace").splitlines() if _REACHED in line)
        return {json.loads(event)["point"] for event in events}

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The superuser's connection, past all links."""
        return await asyncpg.connect(self.postgres.url, timeout=10)

    async def start_all(self) -> None:
        """Starts everything, with a migrated and seeded database."""
        self.journal_dir("edge-a").mkdir(parents=True, exist_ok=True)
        await asyncio.gather(self.start("postgres"), self.start("valkey"), self.start("upstream"))
        await self._prepare_database()
        await self._make_links()
        await self._run("services.catalog.seed", self._environment("catalog"))
        await asyncio.gather(*map(self.start, SERVICES))
        await asyncio.gather(*map(self.start, EDGES))

    async def stop_all(self) -> None:
        """Stops everything, edges first, so that they can settle; kills what does not stop."""
        for names in (EDGES, ("auth", "usage"), ("billing", "catalog", *UPSTREAMS)):
            await asyncio.gather(*(self.stop(name) for name in names if name in self._children))
        for link in self.links.values():
            await link.close()
        for template in self._templates.values():
            template.close()
        await self._in_starter(self._valkey.stop)
        await self._in_starter(self.postgres.stop)
        self._starter.shutdown()

    async def start(self, name: str, *, faults: str = "", log: Path | None = None, **settings: str) -> None:
        """Starts a process that does not run, and waits until it is ready; with these FAULTS."""
        if name == "postgres":
            await self._in_starter(self.postgres.start)
        elif name == "valkey":
            await self._in_starter(self._valkey.start)
        else:
            await self.launch(name, faults=faults, log=log, **settings)
            await self.ready(name)

    async def launch(self, name: str, *, faults: str = "", log: Path | None = None, **settings: str) -> None:
        """Starts a service or an edge without waiting for it."""
        environment = {**self._environment(name), **settings, "FAULTS": faults}
        self._starts += 1
        self._altered[name] = bool(faults or settings)
        log = log or self.directory / f"{name}.{self._starts:05}.log"
        await self._in_starter(self._launch, name, environment, log)

    async def revive(self) -> None:
        """Starts what does not run: servers first, then the rest at once."""
        dead = self.dead()
        for names in ({"postgres", "valkey"}, {*SERVICES, *EDGES}):
            await asyncio.gather(*(self.start(name) for name in dead if name in names))

    async def restore(self) -> None:
        """Takes back whatever a test has done: to links, and to processes, which run again as they first did."""
        self.heal()
        await asyncio.gather(*(self.stop(name) for name, altered in self._altered.items() if altered))
        await self.revive()

    def dead(self) -> list[str]:
        """The processes that do not run, servers first."""
        return [name for name in ("postgres", "valkey", *SERVICES, *EDGES) if not self._lives(name)]

    async def ready(self, name: str) -> None:
        """Waits until it answers; AssertionError with its log when it ends before, or takes too long."""
        give_up = asyncio.get_running_loop().time() + READY_WITHIN_S
        while not await self._answers(name):
            late = asyncio.get_running_loop().time() > give_up
            if late or self.exit_code(name) is not None:
                raise AssertionError(
                    f"{name} is not ready, exit code {self.exit_code(name)}:{self._child(name).tail()}"
                )
            await asyncio.sleep(0.02)

    def kill(self, name: str) -> None:
        """SIGKILL; of Postgres, to every process it consists of."""
        self.kills += 1
        child = self._child(name)
        children = _children_of(child.pid) if name == "postgres" else []
        child.kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.stop()
        if name in {"postgres", "valkey"}:
            # Its files go, so that the next start begins anew.
            self._in_starter_now(self.postgres.stop if name == "postgres" else self._valkey.stop)

    async def gone(self, name: str, *, within_s: float) -> int:
        """Waits until a process has ended; its exit code. AssertionError where it goes on."""
        give_up = asyncio.get_running_loop().time() + within_s
        while (code := self.exit_code(name)) is None:
            assert asyncio.get_running_loop().time() < give_up, f"{name} lives on"
            await asyncio.sleep(0.01)
        return code

    async def stop(self, name: str, *, within_s: float = 20.0) -> int | None:
        """SIGTERM, and SIGKILL for one that does not heed it; its exit code."""
        child = self._child(name)
        await asyncio.get_running_loop().run_in_executor(None, partial(child.stop, within_s=within_s))
        return child.exit_code()

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        os.kill(self.pid(name), signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """SIGCONT."""
        os.kill(self.pid(name), signal.SIGCONT)

    def heal(self) -> None:
        """Takes all faults of all links back."""
        for link in self.links.values():
            link.heal()

    def deaths(self) -> list[str]:
        """The last words of services and edges that do not run."""
        return [self._child(name).obituary() for name in (*SERVICES, *EDGES) if not self._lives(name)]

    def _lives(self, name: str) -> bool:
        try:
            return self.exit_code(name) is None
        except StackError:
            return False

    def _child(self, name: str) -> Child:
        if name == "postgres":
            return self.postgres.child
        return self._valkey.child if name == "valkey" else self._children[name]

    def _launch(self, name: str, environment: dict[str, str], log: Path) -> None:
        module = "tests.support.fake_upstream" if name in UPSTREAMS else f"services.{name}"
        if name in EDGES:
            module = "edge"
            self._ports_file(name).unlink(missing_ok=True)
        if name in UPSTREAMS or "PYTHONPATH" in environment:
            # What is on that path may be another program than the one that the template has imported.
            self._children[name] = Child(
                name, [sys.executable, "-m", module], log=log, environment=environment, directory=ROOT
            )
        else:
            if module not in self._templates:
                self._templates[module] = Template(module, log=self.directory / f"template.{module}.log")
            self._children[name] = self._templates[module].start(name, environment, log=log)

    async def _answers(self, name: str) -> bool:
        if name in UPSTREAMS:
            return self._child(name).log.read_text().endswith("\n")
        if name in EDGES:
            return self._ports_file(name).exists() and await _is_ok(self._ports(name)["api_port"])
        async with client.channel(self.address(name)) as channel:
            return await is_serving(channel)

    def upstream_address(self, name: str = "upstream") -> Address:
        """Where an upstream listens."""
        return f"127.0.0.1:{int(self._children[name].log.read_text().split()[0])}"

    def _postgres_address(self) -> Address:
        """OSError while it does not run."""
        try:
            directory = self.postgres.url.partition("host=")[2].partition("&")[0]
        except StackError as error:
            raise ConnectionRefusedError(str(error)) from None
        return f"unix:{directory}/{_POSTGRES_SOCKET}"

    def _valkey_address(self) -> Address:
        """OSError while it does not run."""
        try:
            return self._valkey.url.replace("unix://", "unix:")
        except StackError as error:
            raise ConnectionRefusedError(str(error)) from None

    async def _make_links(self) -> None:
        """Every way that money, credit or a request goes."""
        targets: dict[str, Callable[[], Address]] = {
            f"{edge}:{name}": partial(self.address, name) for edge in EDGES for name in SERVICES
        }
        targets |= {"usage:billing": partial(self.address, "billing"), "auth:billing": partial(self.address, "billing")}
        targets |= {f"{name}:valkey": self._valkey_address for name in (*EDGES, *SERVICES)}
        for name, target in targets.items():
            path = self.directory / "links" / f"{name.replace(':', '-')}.sock"
            self.links[name] = Link(name, f"unix:{path}", target)
        for service in SERVICES:
            path = self.directory / "links" / service / _POSTGRES_SOCKET
            self.links[f"{service}:postgres"] = Link(f"{service}:postgres", f"unix:{path}", self._postgres_address)
        self.links["edges:upstream"] = Link("edges:upstream", "127.0.0.1:0", self.upstream_address)
        for link in self.links.values():
            await link.start()

    def _environment(self, name: str) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
        common = {**kept, "LOG_LEVEL": "info", "APP_SECRET_KEY": APP_SECRET, "JWT_SECRET": JWT_SECRET, **TIMES}
        if valkey := self.links.get(f"{name}:valkey"):
            common["REDIS_URL"] = valkey.address.replace("unix:", "unix://")
        if name in EDGES:
            common |= {f"{service.upper()}_ADDR": self.links[f"{name}:{service}"].address for service in SERVICES}
            common |= {
                "EDGE_PORT": "0",
                "DASHBOARD_PORT": "0",
                "METRICS_PORT": "0",
                "EDGE_PORTS_FILE": str(self._ports_file(name)),
                "EDGE_JOURNAL_DIR": str(self.journal_dir(name)),
            }
        elif name in SERVICES:
            directory = quote(str(self.directory / "links" / name), safe="")
            url = f"postgresql://postgres@/{DATABASE}?host={directory}&port={SOCKET_PORT}"
            to_billing = f"{name}:billing"
            common |= {
                f"{name.upper()}_LISTEN": self.address(name),
                f"{name.upper()}_DATABASE_URL": dsn.service_url(url, name, APP_SECRET),
                "BILLING_ADDR": self.links[to_billing].address if to_billing in self.links else self.address("billing"),
                "CATALOG_ADDR": self.address("catalog"),
                "UPSTREAM_KIND": "openai",
                "UPSTREAM_BASE_URL": f"http://{self.links['edges:upstream'].address}",
            }
        return {**common, **self._settings}

    async def _prepare_database(self) -> None:
        for service in migrations.services(ROOT / "alembic.ini"):
            password = dsn.service_password(service, APP_SECRET)
            await migrations.ensure_role(self.postgres.url, dsn.role_of(service), password, service)
            await migrations.upgrade(service, self.postgres.url)

    async def _run(self, module: str, environment: dict[str, str]) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, env=environment)
        assert await process.wait() == 0, module

    def _ports_file(self, edge: str) -> Path:
        return self.directory / f"{edge}.ports"

    def _ports(self, edge: str) -> dict[str, int]:
        ports: dict[str, int] = json.loads(self._ports_file(edge).read_text())
        return ports

    async def _in_starter(self, work: object, *arguments: object) -> None:
        assert callable(work)
        await asyncio.get_running_loop().run_in_executor(self._starter, partial(work, *arguments))

    def _in_starter_now(self, work: object) -> None:
        assert callable(work)
        self._starter.submit(work).result()


@asynccontextmanager
async def running_cluster(**settings: str) -> AsyncIterator[Cluster]:
    """A whole cluster in a directory with a short name, which unix sockets need; all gone in the end."""
    directory = Path(tempfile.mkdtemp(prefix="pr-faults-"))
    cluster = Cluster(directory, settings=settings)
    try:
        await cluster.start_all()
        yield cluster
    finally:
        await cluster.stop_all()
        remove_directory(directory)


def _children_of(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


async def _is_ok(port: int) -> bool:
    """Whether an edge says that it should get traffic."""
    try:
        async with asyncio.timeout(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /health/ready HTTP/1.1\r\nhost: edge\r\nconnection: close\r\n\r\n")
            status = await reader.readline()
            writer.close()
            return b" 200 " in status
    except (OSError, TimeoutError):
        return False
