"""All processes with certificates, as in a deployment: requests, charges and commands go through, strangers do not."""

import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from cli.certificates import names
from deploy.certificates import bring_up_to_date
from edge.errors import from_remote
from kit.client import channel
from kit.clock import utc_now
from kit.errors import RemoteError
from kit.tls import Tls
from privaterouter.billing.v1 import billing_pb2
from privaterouter.billing.v1.billing_pb2_grpc import BillingServiceStub
from tests.edge.process import Process, chat, edge, key_of_a_new_user
from tests.support.certificates import HERE
from tests.support.databases import Cluster
from tests.support.processes import fake_upstream
from tests.support.services import JWT_SECRET, RunningServices, running_services
from tests.support.stack import privaterouter
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def certificates() -> Iterator[Path]:
    """A folder with a TLS_DIR for each process, those of services also for the address of this machine."""
    with tempfile.TemporaryDirectory(prefix="privaterouter-test-") as made:
        here = {identity: [*hosts, *([HERE] if hosts else [])] for identity, hosts in names("").items()}
        bring_up_to_date(Path(made), here, now=utc_now())
        yield Path(made)


@pytest.fixture(scope="module")
def secured(cluster: Cluster, valkey: str, certificates: Path) -> Iterator[RunningServices]:
    """The four services, which speak to nobody without a certificate."""
    with (
        tempfile.TemporaryDirectory(prefix="privaterouter-test-") as directory,
        fake_upstream() as upstream,
        running_services(cluster, valkey, Path(directory), upstream_url=upstream, certificates=certificates) as running,
    ):
        yield running


async def test_a_request_is_answered_and_charged_through_all_services(secured: RunningServices, tmp_path: Path) -> None:
    secret_files = tmp_path / "secrets"
    secret_files.mkdir()
    (secret_files / "jwt_secret").write_text(JWT_SECRET)
    with edge(secured, tmp_path, JWT_SECRET="", SECRETS_DIR=str(secret_files)) as process:

        async def ports() -> dict[str, int]:
            assert process.poll() is None, (tmp_path / "edge.log").read_text()
            file = tmp_path / "ports.json"
            found: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
            return found

        running = Process(process, await eventually(ports, within_s=20, what="the ports"), tmp_path / "edge.log")
        async with httpx.AsyncClient(base_url=running.url()) as client:
            key, session = await key_of_a_new_user(client)
            headers = {"authorization": f"Bearer {key}"}
            answer = await client.post("/v1/chat/completions", json=chat(), headers=headers)
            assert answer.status_code == 200, answer.text
            request_id = answer.headers["x-request-id"]

            async def charged() -> Any:
                event = await client.get(f"/api/usage/{request_id}", headers=session)
                return event.is_success and event.json()["ledger"]["state"] == "booked"

            await eventually(charged, what="the charge")
            exposed = (await client.get(f"{running.url('metrics_port')}/metrics")).text
            assert 'tls_certificate_expiry_timestamp_seconds{identity="edge"}' in exposed


def command(secured: RunningServices, home: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    where = {name: value for name, value in secured.environment.items() if name.endswith("_ADDR")}
    return privaterouter("ledger", "verify", home=home / "home", **where, **settings)


def test_commands_go_through_with_the_operators_certificate_only(
    secured: RunningServices, certificates: Path, tmp_path: Path
) -> None:
    done = command(secured, tmp_path, TLS_DIR=str(certificates / "operator"))
    assert done.returncode == 0, done.stderr
    refused = command(secured, tmp_path, TLS_DIR=str(certificates / "edge"))
    assert (refused.returncode, refused.stderr) == (
        3,
        "Edge may not call /privaterouter.billing.v1.BillingService/VerifyLedger.\n",
    )
    half = command(secured, tmp_path, TLS_DIR=str(tmp_path))
    assert (half.returncode, half.stderr) == (
        2,
        f"TLS_DIR: {tmp_path}/tls.crt is missing; put tls.crt, tls.key and ca.crt there\n",
    )


@pytest.mark.parametrize("identity", ["edge", "auth", "catalog", "usage", "operator"])
async def test_credit_is_lent_to_edges_only(secured: RunningServices, certificates: Path, identity: str) -> None:
    async with channel(secured.environment["BILLING_ADDR"], tls=Tls(certificates / identity)) as client:
        with pytest.raises(RemoteError) as caught:
            await BillingServiceStub(client).AcquireLeases(billing_pb2.AcquireLeasesRequest())
    if identity == "edge":  # nothing is wished for, which only those hear who may wish
        assert caught.value.code is grpc.StatusCode.INVALID_ARGUMENT
        return
    assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
    # It would be our mistake, and no client's.
    assert from_remote(caught.value).status == 503
