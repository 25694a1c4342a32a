"""The catalogue's audit log: who changed what, with the old and the new, and nothing that did not happen."""

from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from kit.errors import RemoteError
from privaterouter.audit.v1.audit_pb2 import AuditEvent
from privaterouter.catalog.v1 import catalog_pb2 as pb
from tests.services.catalog.conftest import Catalog
from tests.services.catalog.test_servicer import FAST, chat_model

ALICE = str(uuid4())


async def events(catalog: Catalog, **filters: Any) -> list[AuditEvent]:
    answer = await catalog.stub.ListAuditEvents(pb.ListAuditEventsRequest(**filters))
    assert answer.total == len(answer.events)
    return list(answer.events)


def said(event: AuditEvent) -> tuple[str, str, str, str, str, dict[str, tuple[str | None, str | None]]]:
    """Actor, action, subject and reason, and what changed."""
    details = {
        field: (change.old if change.HasField("old") else None, change.new if change.HasField("new") else None)
        for field, change in event.details.items()
    }
    return event.actor_id, event.action, event.subject_kind, event.subject_id, event.reason, details


async def test_every_change_says_who_made_it_and_what_was_before(seeded: Catalog) -> None:
    assert await events(seeded) == [], "the seed's changes are not somebody's"
    by: dict[str, Any] = {"actor_id": ALICE, "reason": "a test"}
    price = pb.Price(input_nanos_per_mtok=7, output_nanos_per_mtok=9)
    await seeded.stub.SetModelPrice(pb.SetModelPriceRequest(public_name=FAST, price=price, **by))
    await seeded.stub.UpdateModel(
        pb.UpdateModelRequest(
            model=pb.Model(
                public_name=FAST,
                status=pb.MODEL_STATUS_DISABLED,
                routes=[pb.Route(upstream_name="embedded-chat", upstream_model="m", weight=2, idle_timeout_ms=5)],
            ),
            update_mask=FieldMask(paths=["status", "routes"]),
            **by,
        )
    )
    await seeded.stub.UpdatePlan(
        pb.UpdatePlanRequest(
            plan=pb.Plan(id="free", rpm=7, tpm=10), update_mask=FieldMask(paths=["rpm", "tpm"]), reason="fewer"
        )
    )
    priced, model, plan = reversed(await events(seeded))
    assert said(priced) == (
        ALICE,
        "model.price_changed",
        "model",
        FAST,
        "a test",
        {"input_nanos_per_mtok": ("100000000", "7"), "output_nanos_per_mtok": ("300000000", "9")},
    )
    assert said(model) == (
        ALICE,
        "model.updated",
        "model",
        FAST,
        "a test",
        {
            "status": ("active", "disabled"),
            "routes": (
                "(embedded-chat: smollm2, weight 1, position 0)",
                "(embedded-chat: m, weight 2, position 0, idle_timeout_ms 5)",
            ),
        },
    )
    assert said(plan) == ("", "plan.updated", "plan", "free", "fewer", {"rpm": ("20", "7"), "tpm": (None, "10")})
    assert UUID(priced.id).version == 7
    assert await events(seeded, subject_id=FAST, action="model.updated") == [model]
    assert await events(seeded, actor_id=ALICE) == [model, priced]


async def test_a_new_model_is_noted_with_all_that_it_is(seeded: Catalog) -> None:
    await seeded.stub.CreateModel(pb.CreateModelRequest(model=chat_model(), actor_id=ALICE))
    (event,) = await events(seeded)
    *who, details = said(event)
    assert who == [ALICE, "model.created", "model", "acme/new", ""]
    assert details["context_tokens"] == (None, "1000")
    assert details["output_nanos_per_mtok"] == (None, "20")
    assert details["routes"] == (None, "(embedded-chat: acme, weight 1, position 0)")


async def test_an_upstream_is_noted_without_its_credential(catalog: Catalog) -> None:
    values: dict[str, Any] = {"name": "mine", "kind": pb.UPSTREAM_KIND_OPENAI, "base_url": "http://host"}
    for credential in ("secret-1", "secret-2", "secret-2", ""):
        upstream = pb.Upstream(**values, credential=credential)
        await catalog.stub.SetUpstream(pb.SetUpstreamRequest(upstream=upstream, actor_id=ALICE))
    created, changed, taken = reversed(await events(catalog))
    assert "secret" not in str([created, changed, taken])
    assert said(created)[1:4] == ("upstream.created", "upstream", "mine")
    assert said(created)[5]["base_url"] == (None, "http://host")
    assert said(created)[5]["credential"] == (None, "hidden")
    assert said(changed)[1:] == (
        "upstream.updated",
        "upstream",
        "mine",
        "",
        {"credential": ("hidden", "hidden, another one")},
    )
    assert said(taken)[5] == {"credential": ("hidden", None)}


async def test_what_changed_nothing_or_was_refused_leaves_no_event(seeded: Catalog) -> None:
    unchanged = pb.Price(input_nanos_per_mtok=100_000_000, output_nanos_per_mtok=300_000_000)
    await seeded.stub.SetModelPrice(pb.SetModelPriceRequest(public_name=FAST, price=unchanged, actor_id=ALICE))
    await seeded.stub.UpdatePlan(
        pb.UpdatePlanRequest(plan=pb.Plan(id="free", rpm=20), update_mask=FieldMask(paths=["rpm"]))
    )
    before = await seeded.newest()
    refused = [
        pb.SetModelPriceRequest(public_name=FAST, price=pb.Price(input_nanos_per_mtok=-1), actor_id=ALICE),
        pb.SetModelPriceRequest(public_name=FAST, price=pb.Price(), actor_id="nobody"),
        pb.SetModelPriceRequest(public_name=FAST, price=pb.Price(), reason="x" * 501),
        pb.SetModelPriceRequest(public_name=FAST, price=pb.Price(), reason="a\nb"),
    ]
    for request in refused:
        with pytest.raises(RemoteError):
            await seeded.stub.SetModelPrice(request)
    assert await events(seeded) == []
    assert await seeded.newest() == before


@pytest.mark.parametrize(
    "statement", ["UPDATE catalog.audit_events SET reason = 'x'", "DELETE FROM catalog.audit_events"]
)
async def test_the_service_itself_cannot_change_an_event(seeded: Catalog, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with seeded.database.transaction() as connection:
            await connection.execute(statement)
