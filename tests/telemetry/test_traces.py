"""One request, followed by its trace and its id through every process that it reaches."""

from uuid import uuid4

import httpx

from tests.support.collector import Span
from tests.support.waiting import eventually
from tests.telemetry.observed import Observed
from tests.telemetry.people import People

SERVER, CLIENT = 2, 3
CHAT = {"model": "privaterouter/fast", "messages": [{"role": "user", "content": "Hi."}], "max_tokens": 5}


def parent(*, sampled: bool = True) -> tuple[str, str, dict[str, str]]:
    """The ids of a trace and of a span of a client's, and the header that tells of them."""
    trace_id, span_id = uuid4().hex, uuid4().hex[:16]
    return trace_id, span_id, {"traceparent": f"00-{trace_id}-{span_id}-0{int(sampled)}", "tracestate": "theirs=1"}


async def spans_of(system: Observed, trace_id: str) -> list[Span]:
    """The spans of a trace, once all have come: each process sends its own, a little later."""

    async def come() -> list[Span]:
        found = [span for span in system.spans() if span.trace_id == trace_id]
        return found if is_whole(found) else []

    return await eventually(come, within_s=20, what="the spans of a request")


def is_whole(found: list[Span]) -> bool:
    """Whether the request has ended, and all that it has asked for."""
    asked = {span.span_id for span in found if span.kind == CLIENT and span.name.startswith("/")}
    served = {span.span_id: span.parent_id for span in found if span.kind == SERVER and span.name.startswith("/")}
    ended = {span.parent_id for span in found if span.name == "COMMIT"}
    return (
        any(span.kind == SERVER and span.process == "privaterouter-edge" for span in found)
        and set(served.values()) == asked
        and set(served) <= ended
    )


async def got_by_the_upstream(system: Observed, request_id: str) -> dict[str, str]:
    """The headers that the upstream got."""
    async with httpx.AsyncClient() as client:
        tally = (await client.get(f"{system.upstream_url}/tally", params={"id": request_id})).json()
    headers: dict[str, str] = tally[request_id]["headers"]
    return headers


async def test_a_trace_goes_from_the_client_through_the_services_to_the_upstream(
    system: Observed, people: People
) -> None:
    person = await people.person("traced")
    trace_id, span_id, headers = parent()
    answer = await people.http.post("/v1/chat/completions", json=CHAT, headers=person.key | headers)
    assert answer.status_code == 200, answer.text
    request_id = answer.headers["x-request-id"]
    found = await spans_of(system, trace_id)

    (request,) = [span for span in found if span.kind == SERVER and span.process == "privaterouter-edge"]
    assert (request.name, request.parent_id, request.error) == ("POST /v1/chat/completions", span_id, "")
    assert request.attributes == request.attributes | {
        "http.response.status_code": 200,
        "privaterouter.request_id": request_id,
        "gen_ai.request.model": "privaterouter/fast",
        "gen_ai.usage.output_tokens": 5,
        "privaterouter.status": "success",
    }
    calls = {span.name: span for span in found if span.kind == CLIENT and span.name.startswith("/")}
    assert {name.rpartition("/")[2] for name in calls} == {"ResolveApiKeys", "BatchGetAccounts", "AcquireLeases"}
    for name, call in calls.items():
        (served,) = [span for span in found if span.kind == SERVER and span.name == name]
        assert (call.parent_id, served.parent_id) == (request.span_id, call.span_id)
        statements = [span for span in found if span.parent_id == served.span_id]
        assert {"BEGIN", "COMMIT"} & {span.name for span in statements}, name
        assert all(span.attributes["db.system.name"] == "postgresql" for span in statements)
    (tried,) = [span for span in found if span.name == "upstream default"]
    assert (tried.parent_id, tried.attributes["http.response.status_code"]) == (request.span_id, 200)
    got = await got_by_the_upstream(system, request_id)
    assert got["traceparent"] == f"00-{trace_id}-{tried.span_id}-01"
    assert "tracestate" not in got


async def test_every_line_that_a_request_causes_has_its_id_and_its_trace(system: Observed, people: People) -> None:
    admin = await people.admin("logged")
    causes = {
        "auth": ("/api/keys", admin.session),
        "billing": ("/api/billing/balance", admin.session),
        "catalog": ("/api/admin/models", admin.session),
        "usage": ("/api/usage", admin.session),
    }
    for process, (path, session) in causes.items():
        trace_id, _, headers = parent()
        answer = await people.http.get(path, headers=session | headers)
        assert answer.is_success, answer.text
        said = [event for event in system.events(process) if event.get("trace_id") == trace_id]
        assert [event["event"] for event in said if event["event"] == "rpc_answered"], process
        assert {event["request_id"] for event in said} == {answer.headers["x-request-id"]}, process

        async def ours(trace_id: str = trace_id) -> list[dict[str, str]]:
            return [event for event in system.events("edge") if event.get("trace_id") == trace_id]

        (noted,) = await eventually(ours, what="the edge's own line")
        assert (noted["event"], noted["path"]) == ("request", path)


async def test_a_hot_request_has_its_id_in_the_logs_of_all_whom_it_asks(system: Observed, people: People) -> None:
    person = await people.person("hot")
    answer = await people.http.post("/v1/chat/completions", json=CHAT, headers=person.key)
    request_id = answer.headers["x-request-id"]
    for process, method in (("auth", "ResolveApiKeys"), ("billing", "AcquireLeases")):
        methods = [event.get("method", "") for event in system.events(process) if event.get("request_id") == request_id]
        assert any(name.endswith(method) for name in methods), process


async def test_failures_are_spans_with_an_error_of_a_name_of_ours(system: Observed, people: People) -> None:
    person = await people.person("failed")
    trace_id, _, headers = parent()
    body = CHAT | {"user": '{"status": 500, "body": "it is broken"}'}
    answer = await people.http.post("/v1/chat/completions", json=body, headers=person.key | headers)
    assert answer.status_code == 502
    found = await spans_of(system, trace_id)
    errors = {span.name: span.error for span in found if span.error}
    assert errors == {"upstream default": "failure", "POST /v1/chat/completions": "status 502"}


async def test_what_the_client_does_not_want_traced_is_not_but_goes_on_as_a_trace(
    system: Observed, people: People
) -> None:
    person = await people.person("unsampled")
    unwanted, _, headers = parent(sampled=False)
    answer = await people.http.post("/v1/chat/completions", json=CHAT, headers=person.key | headers)
    got = await got_by_the_upstream(system, answer.headers["x-request-id"])
    assert got["traceparent"].startswith(f"00-{unwanted}-")
    assert got["traceparent"].endswith("-00")
    wanted, _, headers = parent()
    await people.http.post("/v1/chat/completions", json=CHAT, headers=person.key | headers)
    await spans_of(system, wanted)
    assert [span for span in system.spans() if span.trace_id == unwanted] == []
