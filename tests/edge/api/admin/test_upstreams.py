"""How upstreams are doing, for admins alone."""

from dataclasses import replace

from edge.lookup.catalogue import Snapshot
from edge.upstream.fleet import Fleet
from edge.upstream.members import FAILURES
from edge.upstream.visits import Outcome
from tests.edge.api.conftest import Application, Person, error_of


async def test_an_admin_sees_how_upstreams_are_doing_and_no_credential(app: Application, admin: Person) -> None:
    fleet, snapshot = fleet_of(app), app.deps.catalogue.current()
    give_the_upstream_secrets(app, snapshot)
    snapshot = app.deps.catalogue.current()
    model = next(iter(snapshot.models.values()))
    only = fleet.candidates(model, snapshot)[0]
    for _ in range(FAILURES):
        (await fleet.enter(only)).leave(Outcome.FAILURE)
    with await fleet.enter(only) as visit:
        visit.answered(visit.began_s + 0.25)
        answer = await admin.http.get("/api/admin/upstreams")
    expected = {
        "name": "default",
        "kind": "openai",
        "address": "model:8080",
        "status": "ejected",
        "latency_ms": 250,
        "in_flight": 1,
        "queued": 0,
        "max_in_flight": 4,
        "failures": 0,
        "failed_probes": 0,
        "ejections": 1,
        "ejected_for_s": 30,
    }
    assert answer.json() == {"items": [expected], "total": 1, "limit": 1, "offset": 0}
    assert "hidden" not in answer.text


async def test_nobody_else_sees_them(app: Application, alice: Person) -> None:
    assert error_of(await alice.http.get("/api/admin/upstreams"))[:2] == (403, "admin_required")


def fleet_of(app: Application) -> Fleet:
    assert app.deps.fleet is not None
    return app.deps.fleet


def give_the_upstream_secrets(app: Application, snapshot: Snapshot) -> None:
    """Puts a credential into everything that can hold one."""
    upstream = replace(
        snapshot.upstreams["default"],
        base_url="http://hidden-user:hidden-word@model:8080/hidden-path?key=hidden",
        credential="hidden",
        max_in_flight=4,
    )
    app.deps.catalogue._snapshot = replace(snapshot, upstreams={"default": upstream})
