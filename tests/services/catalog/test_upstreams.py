"""Upstreams: their addresses, sealed credentials, limits and dialects."""

from typing import Any

import pytest

from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.services.catalog.conftest import Catalog
from tests.services.catalog.test_servicer import refusal


@pytest.mark.parametrize(
    "changes, field",
    [
        ({"name": ""}, "name"),
        ({"name": "Über"}, "name"),
        ({"kind": pb.UPSTREAM_KIND_UNSPECIFIED}, "kind"),
        ({"base_url": "ollama:11434"}, "base_url"),
        ({"base_url": "http://"}, "base_url"),
        ({"base_url": "http://a:b:c"}, "base_url"),
        ({"base_url": "http://user:secret@host"}, "base_url"),
        ({"base_url": "http://host/?key=1"}, "base_url"),
        ({"credential": "with blank"}, "credential"),
        ({"credential": "line\nbreak"}, "credential"),
        ({"credential": "ключ"}, "credential"),
        ({"virtual_keys": True}, "virtual_keys"),
        ({"max_in_flight": -1}, "max_in_flight"),
        ({"max_in_flight": 1_000_001}, "max_in_flight"),
        ({"max_queued": -1}, "max_queued"),
        ({"dialects": [pb.DIALECT_UNSPECIFIED]}, "dialects"),
        ({"dialects": [7]}, "dialects"),
    ],
)
async def test_an_upstream_that_makes_no_sense_is_refused(seeded: Catalog, changes: dict[str, Any], field: str) -> None:
    before = await seeded.newest()
    values: dict[str, Any] = {"name": "mine", "kind": pb.UPSTREAM_KIND_OLLAMA, "base_url": "http://host:1"} | changes
    call = seeded.stub.SetUpstream(pb.SetUpstreamRequest(upstream=pb.Upstream(**values)))
    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_VALUE", field)
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "written", ["https://host/proxy", "https://host/proxy/", "https://host/proxy/v1", "https://host/proxy/v1/"]
)
async def test_an_upstream_is_stored_without_v1_however_it_is_written(catalog: Catalog, written: str) -> None:
    upstream = pb.Upstream(name="mine", kind=pb.UPSTREAM_KIND_OPENAI, base_url=written)
    stored = (await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream))).upstream
    assert stored.base_url == "https://host/proxy"


async def test_an_upstream_keeps_its_limits_and_its_dialects_until_it_is_replaced(catalog: Catalog) -> None:
    upstream = pb.Upstream(
        name="mine",
        kind=pb.UPSTREAM_KIND_OPENAI,
        base_url="http://host",
        max_in_flight=8,
        max_queued=2,
        dialects=[pb.DIALECT_MESSAGES, pb.DIALECT_RESPONSES, pb.DIALECT_MESSAGES],
    )
    stored = (await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream))).upstream
    assert stored == pb.Upstream(
        name="mine",
        kind=pb.UPSTREAM_KIND_OPENAI,
        base_url="http://host",
        max_in_flight=8,
        max_queued=2,
        dialects=[pb.DIALECT_MESSAGES, pb.DIALECT_RESPONSES],
    )
    before = await catalog.newest()
    assert list(before.upstreams) == [stored]
    await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream))
    assert await catalog.newest() == before, "it is so already"
    plain = pb.Upstream(name="mine", kind=pb.UPSTREAM_KIND_OPENAI, base_url="http://host")
    await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=plain))
    assert list((await catalog.newest()).upstreams) == [plain]


async def test_a_credential_is_sealed_at_rest_and_cannot_be_moved_to_another_upstream(catalog: Catalog) -> None:
    for name in ("one", "two"):
        upstream = pb.Upstream(
            name=name, kind=pb.UPSTREAM_KIND_OPENAI, base_url="http://host", credential=f"credential-{name}"
        )
        await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream))
    assert [up.credential for up in (await catalog.newest()).upstreams] == ["credential-one", "credential-two"]
    sealed = await catalog.admin.fetchval("SELECT sealed_credential FROM catalog.upstreams WHERE name = 'one'")
    assert b"credential" not in sealed
    await catalog.admin.execute("UPDATE catalog.upstreams SET sealed_credential = $1 WHERE name = 'two'", sealed)
    assert [up.credential for up in (await catalog.newest()).upstreams] == ["credential-one", ""]


async def test_a_kept_credential_stays_with_its_server(catalog: Catalog) -> None:
    def upstream(**changes: Any) -> pb.Upstream:
        values: dict[str, Any] = {"name": "mine", "kind": pb.UPSTREAM_KIND_OPENAI, "base_url": "https://host:1/a"}
        return pb.Upstream(**values | changes)

    async def keeping(**changes: Any) -> pb.Upstream:
        request = pb.SetUpstreamRequest(upstream=upstream(**changes), keep_credential=True)
        return (await catalog.stub.SetUpstream(request)).upstream

    assert await keeping(credential="ignored") == upstream()
    assert await keeping(base_url="https://other") == upstream(base_url="https://other"), "none is stored"
    await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream(credential="secret")))
    assert await keeping(max_in_flight=3) == upstream(credential="secret", max_in_flight=3)
    assert await keeping(base_url="https://HOST:1/v1/", credential="ignored") == upstream(
        base_url="https://HOST:1", credential="secret"
    )
    before = await catalog.newest()
    for elsewhere in ("https://other:1/a", "http://host:1/a", "https://host:2/a", "https://host.example:1/a"):
        assert await refusal(keeping(base_url=elsewhere)) == ("INVALID_ARGUMENT", "INVALID_VALUE", "credential")
    assert await refusal(keeping(base_url="nonsense")) == ("INVALID_ARGUMENT", "INVALID_VALUE", "base_url")
    assert await catalog.newest() == before
    moved = pb.SetUpstreamRequest(upstream=upstream(base_url="https://other", credential="secret"))
    assert (await catalog.stub.SetUpstream(moved)).upstream == moved.upstream, "whoever knows it may take it along"
