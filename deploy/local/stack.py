"""`privaterouter up`: starts every part of the stack in order, watches them, and stops them in reverse order."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from deploy.local import checks, health, litellm, litellm_install, places, secrets
from deploy.local.environment import Environment, module
from deploy.local.given import wait_for_given
from deploy.local.home import Home
from deploy.local.litellm import Litellm
from deploy.local.model import Model
from deploy.local.places import Places
from deploy.local.postgres import Postgres
from deploy.local.process import Child, StackError, explain, private_socket_directory, remove_socket_directory
from deploy.local.secrets import Secrets
from deploy.local.settings import SERVICES, StackSettings
from deploy.local.terminal import Patience, Stopped, StopSignals, announce, say
from deploy.local.valkey import Valkey

START_WITHIN_S = 60.0
MIGRATE_WITHIN_S = 600.0
EDGE_GRACE_S = 15.0  # beyond the edge's own limit, so that it ends by itself, its usage handed over
SERVICE_DRAIN_S = 25.0
WATCH_EVERY_S = 0.2
POLL_S = 0.03


def up(settings: StackSettings) -> None:
    """Run a stack until somebody stops it; raises StackError when it cannot start or a part dies."""
    home = Home(settings.home)
    signals = StopSignals()
    try:
        with signals.caught():
            home.create()
            with home.locked(stopped=signals.requested) as lock, ExitStack() as running:
                stack = Stack(settings, home, signals=signals, lock=lock, running=running)
                stack.start()
                stack.watch()
    except Stopped:
        say("Stopped.")
    except OSError as error:
        raise StackError(explain(error, doing=f"working in {home.root}")) from error


class Stack:
    """The parts that run, and the ExitStack that stops them in reverse order of their start."""

    def __init__(
        self, settings: StackSettings, home: Home, *, signals: StopSignals, lock: int, running: ExitStack
    ) -> None:
        self._settings = settings
        self._home = home
        self._signals = signals
        self._lock = lock
        self._running = running
        self._children: list[Child] = []
        signals.when_repeated = self._kill_ours

    def start(self) -> None:
        """Start everything; returns when the edge wants traffic, with the ready line printed."""
        begin = time.monotonic()
        checks.refuse_taken_ports(self._settings)
        generated = secrets.load(self._settings, self._home.secrets)
        wait_for_given(self._settings, check=self._check)
        self._running.callback(self._home.places.unlink, missing_ok=True)
        proxy = self._install_litellm(generated)
        models = self._launch_models()
        where = self._start_data()
        where = self._wait_for_models(models, where)
        where = self._launch_litellm(proxy, where)
        environment = Environment(self._settings, generated, where, self._home)
        self._migrate(environment)
        self._start_services(environment)
        self._seed(environment)
        edge = self._start_edge(environment)
        self._wait_for_services(where)
        if proxy:
            self._wait(proxy.name, proxy.is_ready, within_s=litellm.START_WITHIN_S)
        where = self._wait_for_edge(edge, where)
        places.write(where, self._home.places)
        announce(ready_line(self._settings, where, took_s=time.monotonic() - begin))

    def watch(self) -> None:
        """Returns only by Stopped; raises StackError naming the part that died."""
        try:
            while True:
                self._check()
                time.sleep(WATCH_EVERY_S)
        except Stopped:
            say("Stopping: running requests may finish (once more to stop at once).")
            raise

    def _install_litellm(self, generated: Secrets) -> Litellm | None:
        """The proxy, installed where it is not, or not as its lock says; None where the stack has none of its own."""
        if not self._settings.runs_litellm:
            return None
        key = generated.litellm_master_key.get_secret_value()
        proxy = Litellm(self._home.litellm, log=self._home.log("litellm"), master_key=key)
        if not litellm_install.is_installed(proxy.environment):
            say(f"Installing LiteLLM (this first time only; {litellm_install.DOWNLOAD_MB} MB where none is cached)")
            child = litellm_install.begin(proxy.environment, log=self._home.log("litellm-install"))
            self._finish(child, within_s=litellm_install.INSTALL_WITHIN_S)
            litellm_install.finish(proxy.environment)
        return proxy

    def _launch_litellm(self, proxy: Litellm | None, where: Places) -> Places:
        """It needs the longest of all to start, and starts as soon as the models have told their addresses."""
        if proxy is None:
            return where
        say("Starting LiteLLM")
        self._running.callback(proxy.stop)
        proxy.launch(chat_url=where.chat_url, embed_url=where.embed_url)
        self._children.append(proxy.child)
        return replace(where, litellm_url=proxy.url)

    def _launch_models(self) -> list[Model]:
        """The models load while everything else starts."""
        if not self._settings.runs_models:
            return []
        models = [Model(kind, self._home.run, log=self._home.log(f"model-{kind}")) for kind in ("chat", "embed")]
        for model in models:
            self._running.callback(model.stop)
            model.launch()
            self._children.append(model.child)
        return models

    def _wait_for_models(self, models: Sequence[Model], where: Places) -> Places:
        for model in models:
            self._wait(model.name, model.is_ready)
        chat_url, embed_url = [model.url for model in models] or ["", ""]
        return replace(where, chat_url=chat_url, embed_url=embed_url)

    def _start_data(self) -> Places:
        """PostgreSQL and Valkey, or the addresses of those that the settings name; and a place for our sockets."""
        database_url, redis_url = self._settings.database_url, self._settings.redis_url
        if not database_url:
            say("Starting PostgreSQL" if self._home.postgres.exists() else "Making the database (this first time only)")
            postgres = Postgres(self._home.postgres, log=self._home.log("postgres"))
            self._running.callback(postgres.stop)
            postgres.start()
            self._children.append(postgres.child)
            database_url = postgres.url
        if not redis_url:
            valkey = Valkey(self._home.valkey, log=self._home.log("valkey"))
            self._running.callback(valkey.stop)
            valkey.start()
            self._children.append(valkey.child)
            redis_url = valkey.url
        sockets = private_socket_directory(self._home.sockets)
        self._running.callback(remove_socket_directory, self._home.sockets)
        return Places(pid=os.getpid(), sockets=str(sockets), database_url=database_url, redis_url=redis_url)

    def _migrate(self, environment: Environment) -> None:
        say("Bringing the database up to date")
        migration = self._spawn("migrate", module("cli.migrate"), environment.migrate())
        self._finish(migration, within_s=MIGRATE_WITHIN_S)

    def _start_services(self, environment: Environment) -> None:
        """All at once: each takes a second to get ready, most of it alone."""
        say("Starting the services")
        children = [
            self._spawn(name, module(f"services.{name}"), environment.service(name), keep_open=[self._lock])
            for name in SERVICES
        ]
        self._running.callback(stop_all, children, within_s=SERVICE_DRAIN_S)
        self._children += children

    def _wait_for_services(self, where: Places) -> None:
        for name in SERVICES:
            self._wait(name, partial(health.service_is_ready, where.address(name)))

    def _seed(self, environment: Environment) -> None:
        seed = self._spawn("seed", module("services.catalog.seed"), environment.seed())
        self._finish(seed, within_s=START_WITHIN_S)

    def _start_edge(self, environment: Environment) -> Child:
        """Before the services are ready, which it can wait for, but after the catalogue has its models."""
        say("Starting the edge")
        self._home.edge_ports.unlink(missing_ok=True)
        edge = self._spawn("edge", module("edge"), environment.edge(), keep_open=[self._lock])
        self._running.callback(edge.stop, within_s=self._settings.edge_drain_s + EDGE_GRACE_S)
        self._children.append(edge)
        return edge

    def _wait_for_edge(self, edge: Child, where: Places) -> Places:
        self._wait(edge.name, lambda: health.edge_ports(self._home.edge_ports) is not None)
        ports = health.edge_ports(self._home.edge_ports) or {}
        self._wait(edge.name, lambda: health.edge_is_ready(ports["api_port"]))
        return replace(
            where,
            api_url=f"http://localhost:{ports['api_port']}",
            dashboard_url=f"http://localhost:{ports['dashboard_port']}",
            metrics_url=f"http://localhost:{ports['metrics_port']}/metrics",
        )

    def _spawn(
        self, name: str, command: Sequence[str | Path], environment: dict[str, str], *, keep_open: Sequence[int] = ()
    ) -> Child:
        # The directory has no .env, so that a process knows only what it is given.
        return Child(
            name,
            command,
            log=self._home.log(name),
            environment=environment,
            directory=self._home.run,
            keep_open=keep_open,
        )

    def _finish(self, child: Child, *, within_s: float) -> None:
        """Wait for a program that ends by itself; StackError where it fails."""
        try:
            self._wait(child.name, lambda: child.exit_code() is not None, within_s=within_s)
        finally:
            child.stop(within_s=2)
        if child.exit_code() != 0:
            raise StackError(child.obituary())

    def _wait(self, what: str, ready: Callable[[], bool], *, within_s: float = START_WITHIN_S) -> None:
        patience = Patience(what)
        deadline = time.monotonic() + within_s
        while not ready():
            self._check()
            patience.note()
            if time.monotonic() > deadline:
                raise StackError(f"{what} was not ready after {within_s:.0f} s. The logs are in {self._home.logs}.")
            time.sleep(POLL_S)

    def _check(self) -> None:
        """Stopped where asked for, StackError where a part has died."""
        self._signals.check()
        for child in self._children:
            if child.exit_code() is not None:
                raise StackError(child.obituary())

    def _kill_ours(self) -> None:
        for child in self._children:
            if child.name in ("edge", *SERVICES):
                child.kill()


def stop_all(children: Sequence[Child], *, within_s: float) -> None:
    """Stop them side by side."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop(within_s=within_s)


def ready_line(settings: StackSettings, where: Places, *, took_s: float) -> str:
    """The one line that says where everything is and what answers."""
    answers = f"the upstream is {settings.upstream_kind} at {settings.upstream_base_url}"
    if settings.runs_models:
        answers = "all five chat names route to one small model, SmolLM2-135M"
    if settings.runs_litellm:
        answers += ", with LiteLLM in front of it (virtual keys: off)"
    return (
        f"PrivateRouter is ready after {took_s:.1f} s: API {where.api_url}/v1, dashboard {where.dashboard_url}; "
        f"{answers}. Ctrl-C stops it."
    )
