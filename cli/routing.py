"""Operators' commands about where models are served: upstreams, routes, and who answers in whose place."""

import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Annotated

import typer

from cli import connect
from cli.catalogue import MOST
from cli.connect import Clients
from cli.errors import CommandError
from cli.output import table
from privaterouter.catalog.v1 import catalog_pb2 as pb

MOST_S = 86_400
ROUTE_COLUMNS = ("upstream", "model", "weight", "position", "connect", "first_byte", "idle", "total")

ModelName = Annotated[str, typer.Option(help="The model's public name.")]


class UpstreamKind(StrEnum):
    """How to talk to an upstream."""

    OPENAI = "openai"
    OLLAMA = "ollama"
    LITELLM = "litellm"


class Dialect(StrEnum):
    """What an upstream may speak by itself."""

    RESPONSES = "responses"
    MESSAGES = "messages"
    NONE = "none"


class Sticky(StrEnum):
    """What keeps requests on the same route."""

    PROMPT_PREFIX = "prompt_prefix"
    USER = "user"
    NONE = "none"


KINDS = {
    UpstreamKind.OPENAI: pb.UPSTREAM_KIND_OPENAI,
    UpstreamKind.OLLAMA: pb.UPSTREAM_KIND_OLLAMA,
    UpstreamKind.LITELLM: pb.UPSTREAM_KIND_LITELLM,
}
DIALECTS = {Dialect.RESPONSES: pb.DIALECT_RESPONSES, Dialect.MESSAGES: pb.DIALECT_MESSAGES}
STICKINESS = {
    Sticky.PROMPT_PREFIX: pb.STICKY_PROMPT_PREFIX,
    Sticky.USER: pb.STICKY_USER,
    Sticky.NONE: pb.STICKY_UNSPECIFIED,
}


def set_upstream(
    name: Annotated[str, typer.Option(help="The upstream's name, such as ollama-2.")],
    kind: Annotated[UpstreamKind | None, typer.Option(help="How to talk to it. Needed for a new one.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Where it is, such as http://ollama:11434. Needed for a new one.")
    ] = None,
    *,
    credential: Annotated[
        str | None, typer.Option(help="The bearer token that it wants; shown in the list of processes. '': none.")
    ] = None,
    credential_stdin: Annotated[bool, typer.Option("--credential-stdin", help="Read the token from a pipe.")] = False,
    virtual_keys: Annotated[
        bool | None, typer.Option(help="For LiteLLM: whether each API key has a virtual key there.")
    ] = None,
    max_in_flight: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Requests that an edge sends at the same time. 0: no limit.")
    ] = None,
    max_queued: Annotated[
        int | None, typer.Option(min=0, max=MOST, help="Requests that may wait beyond that. 0: as many as may run.")
    ] = None,
    dialect: Annotated[
        list[Dialect] | None,
        typer.Option(help="What it speaks beside OpenAI's chat completions; may be repeated. none: nothing."),
    ] = None,
) -> None:
    r"""Add an upstream, or change one: what is not named stays as it is.

    Upstreams of the settings (default, embedded-chat, embedded-embed) get their kind, address and credential from
    there again at the next start; their limits and dialects stay.

    For example:
        privaterouter admin set-upstream --name ollama-2 --kind ollama --base-url http://10.0.0.7:11434
        privaterouter admin set-upstream --name ollama-2 --max-in-flight 4 --max-queued 8
        pass show vllm | privaterouter admin set-upstream --name vllm --kind openai --base-url https://vllm.example \
            --dialect responses --credential-stdin
    """
    if credential_stdin:
        if credential is not None:
            raise typer.BadParameter("either this or --credential", param_hint="--credential-stdin")
        credential = sys.stdin.readline().rstrip("\r\n")
    changes = {
        "kind": KINDS[kind] if kind else None,
        "base_url": base_url,
        "credential": credential,
        "virtual_keys": virtual_keys,
        "max_in_flight": max_in_flight,
        "max_queued": max_queued,
    }
    speaks = {DIALECTS[one] for one in dialect or () if one is not Dialect.NONE}
    if dialect and Dialect.NONE in dialect and speaks:
        raise typer.BadParameter("none does not go together with others", param_hint="--dialect")

    async def command(clients: Clients) -> pb.SetUpstreamResponse:
        answer = await clients.catalog.GetCatalog(pb.GetCatalogRequest())
        wanted = next((upstream for upstream in answer.upstreams if upstream.name == name), None)
        if wanted is None:
            if kind is None or base_url is None:
                raise CommandError(f"There is no upstream {name} yet: a new one needs --kind and --base-url.")
            wanted = pb.Upstream(name=name)
        for field, value in changes.items():
            if value is not None:
                setattr(wanted, field, value)
        if dialect:
            wanted.dialects[:] = sorted(speaks)
        return await clients.catalog.SetUpstream(pb.SetUpstreamRequest(upstream=wanted))

    print(in_a_sentence(connect.run(command).upstream))


def set_routes(
    model: ModelName,
    route: Annotated[
        list[str] | None,
        typer.Option(
            help="upstream=NAME,model=NAME and, where wanted, weight=, position=, connect-s=, first-byte-s=, idle-s=, "
            "total-s=; repeated for each route."
        ),
    ] = None,
    sticky: Annotated[Sticky | None, typer.Option(help="What keeps requests on the same route.")] = None,
) -> None:
    r"""Say where a model is served; the routes that are named take the place of all that there were.

    Among routes of the same position requests are shared by weight (1); those of a higher position (0) are used when
    those of lower ones all fail. Time limits are seconds: to connect (5), to the head of the answer (300), of silence
    within it (120), of the whole request (3600).

    For example:
        privaterouter admin set-routes --model privaterouter/fast --route upstream=ollama-1,model=gemma4:latest \
            --route upstream=ollama-2,model=gemma4:latest --route upstream=vllm,model=gemma-4,position=1,first-byte-s=20
        privaterouter admin set-routes --model privaterouter/fast --sticky prompt_prefix
    """
    if not route and sticky is None:
        raise typer.BadParameter("name at least one route, or --sticky", param_hint="--route")
    request = pb.UpdateModelRequest(model=pb.Model(public_name=model, routes=map(parse_route, route or ())))
    if route:
        request.update_mask.paths.append("routes")
    if sticky is not None:
        request.model.sticky = STICKINESS[sticky]
        request.update_mask.paths.append("sticky")

    async def command(clients: Clients) -> pb.UpdateModelResponse:
        return await clients.catalog.UpdateModel(request)

    changed = connect.run(command).model
    print(table([row_of(one) for one in changed.routes], columns=ROUTE_COLUMNS))
    if changed.sticky:
        (kept,) = (name for name, number in STICKINESS.items() if number == changed.sticky)
        print(f"Requests with the same {kept.replace('_', ' ')} keep to the same route.")


def set_fallbacks(
    model: ModelName,
    to: Annotated[
        list[str] | None, typer.Option(help="A model that answers in its place; repeated, in the order to try them.")
    ] = None,
    *,
    none: Annotated[bool, typer.Option("--none", help="No model answers in its place.")] = False,
) -> None:
    """Say which models answer in a model's place when none of its routes can; each at its own price.

    For example:
        privaterouter admin set-fallbacks --model privaterouter/qwen-pro --to privaterouter/qwen-fast
        privaterouter admin set-fallbacks --model privaterouter/qwen-pro --none
    """
    if bool(to) == none:
        raise typer.BadParameter("name the models with --to, or say --none", param_hint="--to")
    request = pb.UpdateModelRequest(model=pb.Model(public_name=model, fallback_models=to or ()))
    request.update_mask.paths.append("fallback_models")

    async def command(clients: Clients) -> pb.UpdateModelResponse:
        return await clients.catalog.UpdateModel(request)

    changed = connect.run(command).model
    names = ", then ".join(changed.fallback_models)
    print(f"In the place of {changed.public_name} answers {names or 'no other model'}.")


def parse_route(text: str) -> pb.Route:
    """A route as it is typed, `upstream=a,model=b,weight=2`; a wrong one is a usage error."""
    found = pb.Route()
    given: set[str] = set()
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not value or name not in ROUTE_FIELDS:
            raise typer.BadParameter(
                f"{part!r} in {text!r} is none of {'=, '.join(ROUTE_FIELDS)}=", param_hint="--route"
            )
        if name in given:
            raise typer.BadParameter(f"{name} is there twice in {text!r}", param_hint="--route")
        given.add(name)
        field, read = ROUTE_FIELDS[name]
        setattr(found, field, read(value))
    if not {"upstream", "model"} <= given:
        raise typer.BadParameter(f"{text!r} must name upstream= and model=", param_hint="--route")
    return found


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > MOST:
        raise typer.BadParameter(f"{text!r} is no whole number", param_hint="--route")
    return int(text)


def _milliseconds(text: str) -> int:
    """Seconds, to the millisecond."""
    try:
        sound = Decimal("0.001") <= Decimal(text) <= MOST_S
    except InvalidOperation:
        sound = False
    if not sound:
        raise typer.BadParameter(f"{text!r} is no number of seconds from 0.001 to {MOST_S}", param_hint="--route")
    return int(Decimal(text) * 1_000)


ROUTE_FIELDS: dict[str, tuple[str, Callable[[str], str | int]]] = {
    "upstream": ("upstream_name", str),
    "model": ("upstream_model", str),
    "weight": ("weight", _number),
    "position": ("position", _number),
    "connect-s": ("connect_timeout_ms", _milliseconds),
    "first-byte-s": ("first_byte_timeout_ms", _milliseconds),
    "idle-s": ("idle_timeout_ms", _milliseconds),
    "total-s": ("total_timeout_ms", _milliseconds),
}
"""What a route may name: the field of the contract, and how its value is read."""


def row_of(route: pb.Route) -> dict[str, str]:
    """A route as a row of ROUTE_COLUMNS; a time limit that nobody set is a dash."""
    return {
        "upstream": route.upstream_name,
        "model": route.upstream_model,
        "weight": str(route.weight),
        "position": str(route.position),
        "connect": _seconds(route.connect_timeout_ms),
        "first_byte": _seconds(route.first_byte_timeout_ms),
        "idle": _seconds(route.idle_timeout_ms),
        "total": _seconds(route.total_timeout_ms),
    }


def _seconds(timeout_ms: int) -> str:
    return f"{Decimal(timeout_ms) / 1_000} s" if timeout_ms else "-"


def in_a_sentence(upstream: pb.Upstream) -> str:
    """An upstream without its credential."""
    kind = pb.UpstreamKind.Name(upstream.kind).removeprefix("UPSTREAM_KIND_").lower()
    said = [f"{upstream.name} is {kind} at {upstream.base_url}", "with a credential" if upstream.credential else ""]
    if upstream.virtual_keys:
        said.append("with virtual keys")
    if upstream.max_in_flight:
        waiting = upstream.max_queued or upstream.max_in_flight
        said.append(f"{upstream.max_in_flight} requests of an edge at the same time, {waiting} waiting")
    if upstream.dialects:
        names = [pb.Dialect.Name(dialect).removeprefix("DIALECT_").lower() for dialect in upstream.dialects]
        said.append(f"speaks {' and '.join(sorted(names))}")
    return f"{', '.join(part for part in said if part)}."
