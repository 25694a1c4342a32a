"""An Ollama's models beside the catalogue's: what is in both, what is missing where, and how each is brought in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc

from cli.connect import Clients
from cli.errors import CommandError, in_words
from cli.ollama_host import Found
from kit.errors import RemoteError
from kit.ollama import canonical, pull_command, short
from privaterouter.catalog.v1 import catalog_pb2

NEW_NAME: Final = "ollama"
MAX_CONTEXT_TOKENS: Final = 10_000_000
"""What the catalogue takes at most."""
# Upper bounds for what a prompt gets beyond its own bytes, as for the models that come with the installation. Qwen's
# vision models spend most on an image: 16,384 tokens.
_TEMPLATE_TOKENS: Final = {"completion": 128, "embedding": 16}
_TOOLS_TOKENS: Final = {"completion": 1_024, "embedding": 0}
_IMAGE_TOKENS: Final = 16_384
_REFUSALS: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND}
)


@dataclass(frozen=True, slots=True)
class Adding:
    """How models are added."""

    prefix: str
    chat: catalog_pb2.Price
    embedding: catalog_pb2.Price


@dataclass(frozen=True, slots=True)
class Missing:
    """A model that the catalogue routes to the Ollama, which does not have it."""

    public_name: str
    upstream_model: str

    @property
    def mend(self) -> str:
        """To be typed on the Ollama's host."""
        return pull_command(self.upstream_model)


@dataclass(slots=True)
class Discovery:
    """What was found, and what was done about it. Texts in `skipped` and `refused` say why, by the model's name."""

    upstream: catalog_pb2.Upstream
    is_known: bool
    """Whether the catalogue has this upstream."""
    found: list[Found]
    served: dict[str, list[str]]
    """Public names, by the canonical name of the model behind them here."""
    missing: list[Missing]
    elsewhere: list[tuple[catalog_pb2.Model, catalog_pb2.Route]]
    """The catalogue's models that other Ollamas serve and this one could, with the first such route."""
    taken: frozenset[str]
    """All public names."""
    added: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def choose_upstream(catalogue: catalog_pb2.GetCatalogResponse, name: str, *, base_url: str) -> catalog_pb2.Upstream:
    """The Ollama that is meant: one of the catalogue's, or a new one with an address. CommandError where none is."""
    ollamas = [one for one in catalogue.upstreams if one.kind == catalog_pb2.UPSTREAM_KIND_OLLAMA]
    by_name = {one.name: one for one in catalogue.upstreams}
    if name in by_name:
        known = by_name[name]
        if known not in ollamas:
            raise CommandError(f"The upstream {name} is no Ollama. Name another, or a new one with --base-url.")
        if base_url and base_url != known.base_url:
            raise CommandError(f"The upstream {name} is at {known.base_url}. Leave out --base-url, or name a new one.")
        return known
    if not name:
        there = [one for one in ollamas if base_url in ("", one.base_url)]
        if len(there) == 1:
            return there[0]
        if there:
            raise CommandError(f"Say which one, with --upstream: {', '.join(one.name for one in there)}.")
    if not base_url:
        known_ones = ", ".join(one.name for one in ollamas) or "there is none yet"
        asked = f"no upstream {name}" if name else "no Ollama"
        raise CommandError(f"The catalogue has {asked} ({known_ones}). Say where it is: --base-url http://host:11434.")
    if not name and NEW_NAME in by_name:
        raise CommandError(f"There is an upstream {NEW_NAME} at another address. Name the new one with --upstream.")
    return catalog_pb2.Upstream(name=name or NEW_NAME, kind=catalog_pb2.UPSTREAM_KIND_OLLAMA, base_url=base_url)


def compare(
    catalogue: catalog_pb2.GetCatalogResponse,
    upstream: catalog_pb2.Upstream,
    *,
    found: Sequence[Found],
    only: Collection[str],
) -> Discovery:
    """What is where. With `only`, of these of its models; CommandError where it lacks one of them."""
    here = {canonical(one.installed.name) for one in found}
    for name in only:
        if canonical(name) not in here:
            raise CommandError(f"{name} is not installed at {upstream.base_url}. There: {pull_command(name)}")
    meant = {canonical(name) for name in only} or here
    ollamas = {one.name for one in catalogue.upstreams if one.kind == catalog_pb2.UPSTREAM_KIND_OLLAMA}
    served: dict[str, list[str]] = {}
    elsewhere = []
    missing = []
    for model in catalogue.models:
        routes = [route for route in model.routes if route.upstream_name == upstream.name]
        for route in routes:
            served.setdefault(canonical(route.upstream_model), []).append(model.public_name)
            if canonical(route.upstream_model) not in here and not only:
                missing.append(Missing(model.public_name, route.upstream_model))
        others = [
            one for one in model.routes if one.upstream_name in ollamas and canonical(one.upstream_model) in meant
        ]
        if others and not routes:
            elsewhere.append((model, others[0]))
    return Discovery(
        upstream=upstream,
        is_known=any(one.name == upstream.name for one in catalogue.upstreams),
        found=[one for one in found if canonical(one.installed.name) in meant],
        served=served,
        missing=missing,
        elsewhere=elsewhere,
        taken=frozenset(model.public_name for model in catalogue.models),
    )


async def join_models(clients: Clients, discovery: Discovery) -> None:
    """Gives the catalogue's models that other Ollamas serve a route to this one, beside the one that they have."""
    for model, route in discovery.elsewhere:
        beside = catalog_pb2.Route()
        beside.CopyFrom(route)
        beside.upstream_name = discovery.upstream.name
        wanted = catalog_pb2.Model(public_name=model.public_name, routes=[*model.routes, beside])
        request = catalog_pb2.UpdateModelRequest(model=wanted)
        request.update_mask.paths.append("routes")
        try:
            await _make_known(clients, discovery)
            await clients.catalog.UpdateModel(request)
        except RemoteError as error:
            discovery.refused[model.public_name] = _refusal(error)
            continue
        discovery.joined.append(model.public_name)
        discovery.served.setdefault(canonical(route.upstream_model), []).append(model.public_name)


async def add_models(clients: Clients, discovery: Discovery, *, adding: Adding) -> None:
    """Adds those of the host's models that no route of the catalogue leads to."""
    for one in discovery.found:
        name = one.installed.name
        if canonical(name) in discovery.served:
            continue
        public_name = adding.prefix + short(name)
        if why := _why_not(one, public_name, discovery=discovery):
            discovery.skipped[name] = why
            continue
        wanted = _model(one, public_name, discovery=discovery, adding=adding)
        try:
            await _make_known(clients, discovery)
            await clients.catalog.CreateModel(catalog_pb2.CreateModelRequest(model=wanted))
        except RemoteError as error:
            discovery.refused[name] = _refusal(error)
            continue
        discovery.added.append(public_name)
        discovery.served[canonical(name)] = [public_name]


def _why_not(one: Found, public_name: str, *, discovery: Discovery) -> str:
    if public_name in discovery.taken:
        return f"there is a model {public_name} already; --join serves it from here, too, or choose another --prefix"
    if not one.capability:
        return "it neither completes nor embeds"
    if one.shown is None or not one.shown.context_tokens:
        return "it does not tell its context length; use add-model"
    return ""


def _model(one: Found, public_name: str, *, discovery: Discovery, adding: Adding) -> catalog_pb2.Model:
    shown, chat = one.shown, one.capability == "completion"
    context = min(shown.context_tokens if shown else 0, MAX_CONTEXT_TOKENS)
    return catalog_pb2.Model(
        public_name=public_name,
        family=one.installed.family[:50],
        kind=catalog_pb2.MODEL_KIND_CHAT if chat else catalog_pb2.MODEL_KIND_EMBEDDING,
        status=catalog_pb2.MODEL_STATUS_ACTIVE,
        context_tokens=context,
        max_output_tokens=max(1, context // 2) if chat else 0,
        dimensions=shown.dimensions if shown and not chat else 0,
        template_tokens=_TEMPLATE_TOKENS[one.capability],
        tools_tokens=_TOOLS_TOKENS[one.capability],
        image_tokens=_IMAGE_TOKENS if shown and "vision" in shown.capabilities else 0,
        price=adding.chat if chat else adding.embedding,
        upstream_model=one.installed.name,
        routes=[catalog_pb2.Route(upstream_name=discovery.upstream.name, upstream_model=one.installed.name, weight=1)],
    )


async def _make_known(clients: Clients, discovery: Discovery) -> None:
    """Adds the upstream to the catalogue, once there is something to be served by it."""
    if not discovery.is_known:
        await clients.catalog.SetUpstream(catalog_pb2.SetUpstreamRequest(upstream=discovery.upstream))
        discovery.is_known = True


def _refusal(error: RemoteError) -> str:
    """What the catalogue has against one model; where it cannot be asked at all, the error goes on."""
    if error.code not in _REFUSALS:
        raise error
    return in_words(error)
