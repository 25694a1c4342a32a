"""The operator's command that lists an Ollama's models, and brings them into the catalogue."""

from typing import Annotated

import typer

from cli import connect, ollama_host
from cli.catalogue import CachedPrice, CacheWritePrice, price
from cli.connect import Clients
from cli.discovered import Adding, Discovery, add_models, choose_upstream, compare, join_models
from cli.discovered_output import as_document, tell
from cli.output import print_json
from privaterouter.catalog.v1 import catalog_pb2


def discover(
    *,
    upstream: Annotated[
        str,
        typer.Option(help="The Ollama's name in the catalogue. Default: the only one there, or the one at the URL."),
    ] = "",
    base_url: Annotated[
        str, typer.Option(help="Where it is, such as http://gpu2:11434, if the catalogue does not know it yet.")
    ] = "",
    add: Annotated[
        bool, typer.Option("--add", help="Add the models that the catalogue does not route there, at this price.")
    ] = False,
    join: Annotated[
        bool,
        typer.Option(
            "--join", help="Serve from here, too, what the catalogue routes to other Ollamas and this one has."
        ),
    ] = False,
    model: Annotated[
        list[str] | None, typer.Option(help="Only this one of its models; may be given several times. Default: all.")
    ] = None,
    input_usd: Annotated[str, typer.Option(help="With --add: dollars for a million prompt tokens.")] = "",
    output_usd: Annotated[
        str, typer.Option(help="With --add: dollars for a million output tokens; embeddings have none.")
    ] = "",
    cached_input_usd: CachedPrice = "",
    cache_write_usd: CacheWritePrice = "",
    prefix: Annotated[str, typer.Option(help="With --add: what public names begin with.")] = "ollama/",
    check: Annotated[
        bool, typer.Option("--check", help="Exit with status 1 if a model that the catalogue routes there is missing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of columns.")] = False,
) -> None:
    """List an Ollama's models, and what the catalogue lacks of them; add those, or serve known ones from there, too.

    It is asked from where you type this. What the catalogue routes there but the Ollama does not have is listed with
    the `ollama pull` that mends it. Adding again adds nothing twice.
    Exit status: 0 done, 1 it failed (or, with --check, a model is missing), 2 wrong usage.

    For example:
        privaterouter admin discover
        privaterouter admin discover --base-url http://gpu1:11434 --add --input-usd 0.10 --output-usd 0.30
        privaterouter admin discover --upstream gpu2 --base-url http://gpu2:11434 --join
    """
    where = ollama_host.address(base_url) if base_url else ""
    adding = None
    if add:
        _ask_for_prices(input_usd, output_usd)
        chat, embedding = (
            price(input_usd, output, cached_input_usd=cached_input_usd, cache_write_usd=cache_write_usd)
            for output in (output_usd, "0")
        )
        adding = Adding(prefix=prefix, chat=chat, embedding=embedding)

    async def command(clients: Clients) -> Discovery:
        catalogue = await clients.catalog.GetCatalog(catalog_pb2.GetCatalogRequest())
        chosen = choose_upstream(catalogue, upstream, base_url=where)
        found = await ollama_host.survey(chosen.base_url, credential=chosen.credential)
        discovery = compare(catalogue, chosen, found=found, only=model or ())
        if join:
            await join_models(clients, discovery)
        if adding:
            await add_models(clients, discovery, adding=adding)
        return discovery

    discovery = connect.run(command)
    if as_json:
        print_json(as_document(discovery))
    else:
        tell(discovery, may_add=not (add or join))
    if discovery.refused or (check and discovery.missing):
        raise typer.Exit(1)


def _ask_for_prices(input_usd: str, output_usd: str) -> None:
    for option, value in (("--input-usd", input_usd), ("--output-usd", output_usd)):
        if not value:
            raise typer.BadParameter("say what a million tokens cost (0 gives them away)", param_hint=option)
