"""Servers and clients with certificates, over TCP: who gets in, who may call what, and what changes while calls run."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from deploy import certificates
from kit.client import channel
from kit.errors import RemoteError, unpack
from kit.health import LIVENESS, is_serving
from kit.server import running
from kit.tls import Tls
from tests.support import echo
from tests.support.certificates import HERE, Workshop, free_port
from tests.support.waiting import eventually

CALLERS: Mapping[str, frozenset[str]] = {"Read": frozenset({"edge", "operator"}), "Post": frozenset({"edge"})}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def service() -> echo.Echo:
    return echo.Echo()


@pytest.fixture
async def target(workshop: Workshop, service: echo.Echo) -> AsyncIterator[str]:
    """A server that is auth."""
    async with serving(service, Tls(workshop.issue("auth"))) as address:
        yield address


@asynccontextmanager
async def serving(service: echo.Echo, tls: Tls, **options: Any) -> AsyncIterator[str]:
    async with running(
        listen=f"{HERE}:0",
        register=service.register,
        services=[echo.NAME],
        drain_s=0,
        tls=tls,
        callers=CALLERS,
        **options,
    ) as address:
        yield address


def client_of(home: Path, target: str) -> grpc.aio.Channel:
    return channel(target, tls=Tls(home))


def shown(home: Path) -> grpc.ChannelCredentials:
    """Credentials of a client that does not look at its own files first."""
    return grpc.ssl_channel_credentials(*((home / name).read_bytes() for name in ("ca.crt", "tls.key", "tls.crt")))


async def test_who_shows_a_certificate_is_answered(workshop: Workshop, target: str) -> None:
    async with client_of(workshop.issue("edge", names=()), target) as edge:
        assert await echo.call(edge, "Post", b"hello") == b"hello"


@pytest.mark.parametrize("how", ["plaintext", "no certificate", "expired", "of another authority"])
async def test_who_shows_no_valid_certificate_does_not_get_in(
    workshop: Workshop, target: str, service: echo.Echo, how: str, tmp_path: Path
) -> None:
    believed = (workshop.issue("edge", names=()) / "ca.crt").read_bytes()
    match how:
        case "plaintext":
            client = channel(target)
        case "no certificate":
            client = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(believed))
        case "expired":
            client = grpc.aio.secure_channel(target, shown(workshop.issue("edge", ends_in=timedelta(seconds=-1))))
        case _:
            stranger = Workshop(tmp_path / "elsewhere").issue("edge", believed=workshop.authority)
            client = grpc.aio.secure_channel(target, shown(stranger))
    async with client:
        with pytest.raises((RemoteError, grpc.aio.AioRpcError)) as caught:
            await echo.call(client, "Post", timeout=20)
    error = unpack(caught.value) if isinstance(caught.value, grpc.aio.AioRpcError) else caught.value
    assert isinstance(error, RemoteError)
    assert (error.code, service.calls) == (grpc.StatusCode.UNAVAILABLE, 0)


@pytest.mark.parametrize("mistake", ["another name", "another authority"])
async def test_a_server_that_is_another_is_not_called(
    workshop: Workshop, service: echo.Echo, mistake: str, tmp_path: Path
) -> None:
    home = workshop.issue("auth", names=("billing",))
    if mistake == "another authority":
        believed = (home / "ca.crt").read_bytes()
        home = Workshop(tmp_path / "elsewhere").issue("auth")
        with (home / "ca.crt").open("ab") as authorities:
            authorities.write(believed)
    async with serving(service, Tls(home)) as target, client_of(workshop.issue("edge"), target) as edge:
        with pytest.raises(RemoteError) as caught:
            await echo.call(edge, "Post", timeout=20)
    assert (caught.value.code, service.calls) == (grpc.StatusCode.UNAVAILABLE, 0)


@pytest.mark.parametrize(
    "identity, rpc, welcome",
    [
        ("edge", "Read", True),
        ("edge", "Post", True),
        ("operator", "Read", True),
        ("operator", "Post", False),
        ("usage", "Read", False),
        ("stranger", "Post", False),
        ("edge", "Put", False),
    ],
)
async def test_the_table_decides_who_may_call_what(
    workshop: Workshop, target: str, service: echo.Echo, *, identity: str, rpc: str, welcome: bool
) -> None:
    async with client_of(workshop.issue(identity), target) as client:
        if welcome:
            assert await echo.call(client, rpc, b"x") == b"x"
            return
        labels = {"method": f"/{echo.NAME}/{rpc}", "caller": identity}
        before = REGISTRY.get_sample_value("grpc_server_refused_callers_total", labels) or 0
        with capture_logs() as logged, pytest.raises(RemoteError) as caught:
            await echo.call(client, rpc, b"x")
    error = caught.value
    assert (error.code, error.reason) == (grpc.StatusCode.PERMISSION_DENIED, "CALLER_NOT_ALLOWED")
    assert (error.domain, error.metadata) == ("kit.privaterouter", {"caller": identity})
    assert error.message == f"{identity} may not call /{echo.NAME}/{rpc}"
    assert service.calls == 0
    assert REGISTRY.get_sample_value("grpc_server_refused_callers_total", labels) == before + 1
    assert [(line["event"], line["log_level"], line["error_caller"]) for line in logged] == [
        ("rpc_refused", "warning", identity)
    ]


async def test_a_server_without_a_table_is_nobodys(workshop: Workshop, service: echo.Echo) -> None:
    async with (
        running(listen=f"{HERE}:0", register=service.register, tls=Tls(workshop.issue("auth"))) as target,
        client_of(workshop.issue("edge"), target) as edge,
    ):
        with pytest.raises(RemoteError, match="CALLER_NOT_ALLOWED"):
            await echo.call(edge, "Read")
    assert service.calls == 0


async def test_health_is_for_every_certificate_and_reflection_for_none(workshop: Workshop, target: str) -> None:
    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with client_of(workshop.issue("stranger"), target) as client:
        assert await is_serving(client)
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(client)  # type: ignore[arg-type]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async for _ in stub.ServerReflectionInfo(ask()):
                pass
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_health_port_answers_probes_in_plaintext_and_nothing_else(
    workshop: Workshop, service: echo.Echo
) -> None:
    ready = False

    async def is_ready() -> bool:
        return ready

    probe_at = f"{HERE}:{free_port()}"
    async with (
        serving(service, Tls(workshop.issue("auth")), health_listen=probe_at, ready=is_ready) as target,
        channel(probe_at) as probe,
        channel(target) as plaintext,
    ):
        assert await is_serving(probe, LIVENESS)
        assert not await is_serving(probe)
        ready = True
        await eventually(lambda: is_serving(probe))
        assert not await is_serving(plaintext)
        with pytest.raises(RemoteError) as caught:
            await echo.call(probe, "Read")
    assert (caught.value.code, service.calls) == (grpc.StatusCode.UNIMPLEMENTED, 0)


async def test_a_health_port_that_is_taken_is_an_error(workshop: Workshop, service: echo.Echo) -> None:
    async with serving(service, Tls(workshop.issue("auth"))) as target:
        with pytest.raises(OSError, match=f"cannot listen on {target}"):
            async with running(listen=f"{HERE}:0", register=service.register, health_listen=target):
                pass


class Callers:
    """Calls without a pause, none of which is ever repeated; `certificates` are those that the server was shown."""

    def __init__(self, service: echo.Echo, client: grpc.aio.Channel) -> None:
        self.certificates: list[bytes] = []
        self.connections: set[str] = set()
        self.answered = [0, 0, 0, 0]
        self._client = client
        self._tasks: list[asyncio.Task[None]] = []
        service.answer = self._answer

    async def _answer(self, request: bytes, context: "grpc.aio.ServicerContext[Any, Any]") -> bytes:
        self.certificates += context.auth_context().get("x509_pem_cert", ())
        self.connections.add(context.peer())
        await asyncio.sleep(float(request))
        return b"done"

    async def all_have_gone_on(self) -> None:
        """Waits until each has been answered twice more: once what ran, then what began now."""
        before = self.answered.copy()

        async def gone_on() -> bool:
            return all(now >= then + 2 for now, then in zip(self.answered, before, strict=True))

        await eventually(gone_on, within_s=20, what=f"answers: {self._tasks}")

    async def _call_without_end(self, number: int, lasting_s: bytes) -> None:
        while True:
            await echo.call(self._client, "Post", lasting_s)
            self.answered[number] += 1

    async def __aenter__(self) -> Self:
        for number, lasting_s in enumerate((b"0", b"0.001", b"0.01", b"0.5")):
            self._tasks.append(asyncio.create_task(self._call_without_end(number, lasting_s)))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert {type(result) for result in results} == {asyncio.CancelledError}, results


@pytest.mark.parametrize("what", ["certificates", "authority"])
async def test_certificates_change_while_calls_run_and_none_fails(
    workshop: Workshop, service: echo.Echo, what: str
) -> None:
    server_tls, client_tls = Tls(workshop.issue("auth")), Tls(workshop.issue("edge", names=()))
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(service, server_tls))
        client = await stack.enter_async_context(channel(target, tls=client_tls))
        for tls, interval_s in ((client_tls, 0.01), (server_tls, 0.1)):
            watching = asyncio.create_task(tls.watch(interval_s))
            stack.callback(watching.cancel)
        callers = await stack.enter_async_context(Callers(service, client))
        for _ in range(3):
            if what == "authority":
                workshop.authority = certificates.authority(now=workshop.now())
            new = (workshop.issue("edge", names=()) / "tls.crt").read_bytes()
            workshop.issue("auth")

            async def seen(new: bytes = new) -> bool:
                return new in callers.certificates[-1:]

            await eventually(seen, within_s=20, what="a call with the new certificate")
        await callers.all_have_gone_on()
    assert len(set(callers.certificates)) == 4


async def test_connections_are_made_anew_at_their_age_and_no_call_fails(workshop: Workshop, service: echo.Echo) -> None:
    async with (
        serving(service, Tls(workshop.issue("auth")), connection_age_s=0.2) as target,
        client_of(workshop.issue("edge"), target) as client,
        Callers(service, client) as callers,
    ):

        async def aged() -> bool:
            return len(callers.connections) > 5

        await eventually(aged, within_s=20, what="six connections")
        await callers.all_have_gone_on()
