"""Operators' commands about models, prices and plans; edges follow within two seconds."""

from enum import StrEnum
from typing import Annotated

import typer

from cli import connect
from cli.accounts import dollars
from cli.connect import Clients
from cli.errors import CommandError
from kit.money import format_price
from privaterouter.catalog.v1 import catalog_pb2

# What a field of the contract holds; what makes sense beyond that, the catalogue says.
MOST = 2**31 - 1
MOST_TPM = 2**63 - 1

InputPrice = Annotated[str, typer.Option(help="Dollars for a million prompt tokens.")]
OutputPrice = Annotated[str, typer.Option(help="Dollars for a million output tokens.")]
CachedPrice = Annotated[str, typer.Option(help="Dollars for a million cached prompt tokens. Default: as input.")]
CacheWritePrice = Annotated[
    str, typer.Option(help="Dollars for a million prompt tokens that are written into a cache. Default: as input.")
]


class Kind(StrEnum):
    """What a model does."""

    CHAT = "chat"
    EMBEDDING = "embedding"


def set_plan_limits(
    plan: Annotated[str, typer.Option(help="The plan's id, such as free.")],
    rpm: Annotated[
        int | None, typer.Option(min=1, max=MOST, help="Inference calls a minute for an account, over all its keys.")
    ] = None,
    tpm: Annotated[
        int | None, typer.Option(min=0, max=MOST_TPM, help="Tokens a minute for an account. 0: no such limit.")
    ] = None,
    max_in_flight: Annotated[
        int | None,
        typer.Option(min=0, max=MOST, help="Inference calls of an account at the same time. 0: no such limit."),
    ] = None,
) -> None:
    """Change how many calls and tokens a minute, and how many calls at the same time, a plan allows.

    For example:
        privaterouter admin set-plan-limits --plan free --rpm 60
        privaterouter admin set-plan-limits --plan free --tpm 40000 --max-in-flight 4
    """
    limits = {"rpm": rpm, "tpm": tpm, "max_in_flight": max_in_flight}
    request = catalog_pb2.UpdatePlanRequest(plan=catalog_pb2.Plan(id=plan))
    for field, value in limits.items():
        if value is not None:
            request.update_mask.paths.append(field)
        if value:
            setattr(request.plan, field, value)
    if not request.update_mask.paths:
        raise typer.BadParameter("name at least one limit", param_hint="--rpm, --tpm, --max-in-flight")

    async def command(clients: Clients) -> catalog_pb2.UpdatePlanResponse:
        return await clients.catalog.UpdatePlan(request)

    changed = connect.run(command).plan
    allowed = [f"{changed.rpm} calls a minute"]
    if changed.HasField("tpm"):
        allowed.append(f"{changed.tpm} tokens a minute")
    if changed.HasField("max_in_flight"):
        allowed.append(f"{changed.max_in_flight} calls at the same time")
    print(f"The plan {changed.id} allows {', '.join(allowed)}.")


def set_price(
    model: Annotated[str, typer.Option(help="The model's public name.")],
    input_usd: InputPrice,
    output_usd: OutputPrice,
    cached_input_usd: CachedPrice = "",
    *,
    cache_write_usd: CacheWritePrice = "",
) -> None:
    r"""Give a model a new price; requests that are running keep the old one.

    For example:
        privaterouter admin set-price --model privaterouter/fast --input-usd 0.12 --output-usd 0.36
        privaterouter admin set-price --model privaterouter/fast --input-usd 0.12 --output-usd 0.36 \
            --cached-input-usd 0.012 --cache-write-usd 0.15
    """
    wanted = price(input_usd, output_usd, cached_input_usd=cached_input_usd, cache_write_usd=cache_write_usd)

    async def command(clients: Clients) -> catalog_pb2.SetModelPriceResponse:
        return await clients.catalog.SetModelPrice(catalog_pb2.SetModelPriceRequest(public_name=model, price=wanted))

    print(priced(connect.run(command).model))


def add_model(
    name: Annotated[str, typer.Option(help="The public name, such as privaterouter/small.")],
    upstream_model: Annotated[str, typer.Option(help="The model's name at the upstream, such as qwen3:0.6b.")],
    input_usd: InputPrice,
    *,
    output_usd: Annotated[
        str, typer.Option(help="Dollars for a million output tokens. Needed for chat; embeddings have none.")
    ] = "",
    cached_input_usd: CachedPrice = "",
    cache_write_usd: CacheWritePrice = "",
    context: Annotated[int, typer.Option(min=1, max=MOST, help="Tokens of prompt and output together.")] = 8192,
    max_output_tokens: Annotated[
        int, typer.Option(min=0, max=MOST, help="Most tokens of one answer. Default: half of it.")
    ] = 0,
    kind: Annotated[Kind, typer.Option(help="What it does.")] = Kind.CHAT,
    family: Annotated[str, typer.Option(help="The family, such as qwen.")] = "",
    upstream: Annotated[str, typer.Option(help="Where it is served. Default: the upstream of the settings.")] = "",
    dimensions: Annotated[int, typer.Option(min=0, max=MOST, help="Size of an embedding. 0: not known.")] = 0,
    image_tokens: Annotated[int, typer.Option(min=0, max=MOST, help="Tokens that one image counts at most.")] = 1120,
) -> None:
    r"""Add a model; plans that allow all models allow it at once.

    For example:
        privaterouter admin add-model --name privaterouter/small --upstream-model qwen3:0.6b \
            --input-usd 0.02 --output-usd 0.05 --context 32768
        privaterouter admin add-model --name privaterouter/embed-large --kind embedding --upstream-model bge-m3 \
            --input-usd 0.08 --dimensions 1024
    """
    chat = kind is Kind.CHAT
    if chat and not output_usd:
        raise typer.BadParameter("say what a million output tokens cost (0 gives them away)", param_hint="--output-usd")
    wanted = catalog_pb2.Model(
        public_name=name,
        family=family,
        kind=catalog_pb2.MODEL_KIND_CHAT if chat else catalog_pb2.MODEL_KIND_EMBEDDING,
        status=catalog_pb2.MODEL_STATUS_ACTIVE,
        context_tokens=context,
        max_output_tokens=(max_output_tokens or max(1, context // 2)) if chat else 0,
        dimensions=dimensions,
        # Upper bounds for what chat templates add, as for the models that come with the installation.
        template_tokens=128 if chat else 16,
        tools_tokens=1024 if chat else 0,
        image_tokens=image_tokens if chat else 0,
        price=price(input_usd, output_usd or "0", cached_input_usd=cached_input_usd, cache_write_usd=cache_write_usd),
        upstream_model=upstream_model,
    )

    async def command(clients: Clients) -> catalog_pb2.CreateModelResponse:
        where = upstream or await default_upstream(clients, kind)
        wanted.routes.add(upstream_name=where, upstream_model=upstream_model, weight=1)
        return await clients.catalog.CreateModel(catalog_pb2.CreateModelRequest(model=wanted))

    added = connect.run(command).model
    print(f"Added, served by {added.routes[0].upstream_name}. {priced(added)}")


async def default_upstream(clients: Clients, kind: Kind) -> str:
    """The upstream that the settings describe; CommandError where the catalogue has none of that kind."""
    answer = await clients.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())
    names = [upstream.name for upstream in answer.upstreams]
    for name in ("default", "embedded-embed" if kind is Kind.EMBEDDING else "embedded-chat"):
        if name in names:
            return name
    raise CommandError(f"Say where it is served, with --upstream: {', '.join(names) or 'there is none yet'}.")


def price(
    input_usd: str, output_usd: str, *, cached_input_usd: str = "", cache_write_usd: str = ""
) -> catalog_pb2.Price:
    """Dollars for a million tokens as a price; a wrong one is a usage error."""
    wanted = catalog_pb2.Price(input_nanos_per_mtok=dollars(input_usd), output_nanos_per_mtok=dollars(output_usd))
    if cached_input_usd:
        wanted.cached_input_nanos_per_mtok = dollars(cached_input_usd)
    if cache_write_usd:
        wanted.cache_write_input_nanos_per_mtok = dollars(cache_write_usd)
    return wanted


def priced(model: catalog_pb2.Model) -> str:
    """A model's price in a sentence; cached tokens are named where they have a price of their own."""
    said = [f"{model.public_name} costs ${format_price(model.price.input_nanos_per_mtok)} for a million prompt tokens"]
    if model.price.HasField("cached_input_nanos_per_mtok"):
        said.append(f"${format_price(model.price.cached_input_nanos_per_mtok)} for cached ones")
    if model.price.HasField("cache_write_input_nanos_per_mtok"):
        said.append(f"${format_price(model.price.cache_write_input_nanos_per_mtok)} for those written into a cache")
    return f"{', '.join(said)}, ${format_price(model.price.output_nanos_per_mtok)} for a million output tokens."
