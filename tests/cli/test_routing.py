"""Commands about where models are served, and who answers in whose place."""

import asyncio

import pytest
import typer

from cli.routing import parse_route
from kit.client import channel
from privaterouter.catalog.v1 import catalog_pb2 as pb
from privaterouter.catalog.v1.catalog_pb2_grpc import CatalogServiceStub
from tests.support.stack import RunningStack

FAST, PRO, CODE = "privaterouter/fast", "privaterouter/qwen-pro", "privaterouter/deepseek-code"


def catalogue(stack: RunningStack) -> pb.GetCatalogResponse:
    """The whole of it."""

    async def ask() -> pb.GetCatalogResponse:
        async with channel(stack.places.address("catalog")) as connected:
            return await CatalogServiceStub(connected).GetCatalog(pb.GetCatalogRequest())

    return asyncio.run(ask())


def upstream(stack: RunningStack, name: str) -> pb.Upstream:
    return next(one for one in catalogue(stack).upstreams if one.name == name)


def model(stack: RunningStack, name: str) -> pb.Model:
    return next(one for one in catalogue(stack).models if one.public_name == name)


def test_a_new_upstream_is_added_and_what_is_not_named_later_stays(stack: RunningStack) -> None:
    added = stack.command(
        *("admin", "set-upstream", "--name", "vllm", "--kind", "openai", "--base-url", "http://127.0.0.1:9/v1"),
        *("--credential-stdin", "--max-in-flight", "4", "--dialect", "responses", "--dialect", "messages"),
        stdin="sk-secret\n",
    )
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout == (
        "vllm is openai at http://127.0.0.1:9, with a credential, 4 requests of an edge at the same time, 4 waiting, "
        "speaks messages and responses.\n"
    )
    wanted = pb.Upstream(
        name="vllm",
        kind=pb.UPSTREAM_KIND_OPENAI,
        base_url="http://127.0.0.1:9",
        credential="sk-secret",
        max_in_flight=4,
        dialects=[pb.DIALECT_MESSAGES, pb.DIALECT_RESPONSES],
    )
    assert upstream(stack, "vllm") == wanted
    assert stack.command("admin", "set-upstream", "--name", "vllm", "--max-queued", "9").returncode == 0
    wanted.max_queued = 9
    assert upstream(stack, "vllm") == wanted
    bare = stack.command(
        *("admin", "set-upstream", "--name", "vllm", "--credential", "", "--dialect", "none", "--max-in-flight", "0")
    )
    assert (bare.returncode, bare.stdout) == (0, "vllm is openai at http://127.0.0.1:9.\n")
    assert upstream(stack, "vllm") == pb.Upstream(
        name="vllm", kind=pb.UPSTREAM_KIND_OPENAI, base_url="http://127.0.0.1:9", max_queued=9
    )


def test_virtual_keys_can_be_switched_on_and_off(stack: RunningStack) -> None:
    base = ("admin", "set-upstream", "--name", "proxy")
    made = stack.command(*base, "--kind", "litellm", "--base-url", "http://127.0.0.1:9", "--virtual-keys")
    assert (made.returncode, made.stdout) == (0, "proxy is litellm at http://127.0.0.1:9, with virtual keys.\n")
    assert upstream(stack, "proxy").virtual_keys
    assert stack.command(*base, "--no-virtual-keys").returncode == 0
    assert not upstream(stack, "proxy").virtual_keys


@pytest.mark.parametrize(
    "arguments, status, said",
    [
        (("--name", "new"), 1, "There is no upstream new yet: a new one needs --kind and --base-url.\n"),
        (("--name", "new", "--kind", "ollama", "--base-url", "nowhere"), 1, "Base_url must look like"),
        (("--name", "new", "--kind", "telepathy"), 2, "telepathy"),
        (("--name", "new", "--max-in-flight", "-1"), 2, "--max-in-flight"),
        (("--name", "new", "--dialect", "none", "--dialect", "messages"), 2, "--dialect"),
        (("--name", "new", "--credential", "x", "--credential-stdin"), 2, "--credential-stdin"),
    ],
)
def test_an_upstream_that_makes_no_sense_is_refused(
    stack: RunningStack, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = catalogue(stack)
    refused = stack.command("admin", "set-upstream", *arguments)
    assert (refused.returncode, refused.stdout, said in refused.stderr) == (status, "", True), refused.stderr
    assert catalogue(stack) == before


def test_routes_take_the_place_of_all_that_there_were(stack: RunningStack) -> None:
    for name in ("one", "two"):
        new = ("admin", "set-upstream", "--name", name, "--kind", "ollama", "--base-url", "http://127.0.0.1:9")
        assert stack.command(*new).returncode == 0
    done = stack.command(
        *("admin", "set-routes", "--model", FAST, "--route", "upstream=one,model=gemma4:latest,weight=3"),
        *("--route", "upstream=two,model=gemma4:latest,position=1,first-byte-s=20,connect-s=0.5"),
        *("--sticky", "prompt_prefix"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "UPSTREAM  MODEL          WEIGHT  POSITION  CONNECT  FIRST_BYTE  IDLE  TOTAL",
        "one       gemma4:latest  3       0         -        -           -     -",
        "two       gemma4:latest  1       1         0.5 s    20 s        -     -",
        "Requests with the same prompt prefix keep to the same route.",
    ]
    changed = model(stack, FAST)
    assert list(changed.routes) == [
        pb.Route(upstream_name="one", upstream_model="gemma4:latest", weight=3),
        pb.Route(
            upstream_name="two",
            upstream_model="gemma4:latest",
            weight=1,
            position=1,
            connect_timeout_ms=500,
            first_byte_timeout_ms=20_000,
        ),
    ]
    assert changed.sticky == pb.STICKY_PROMPT_PREFIX
    loose = stack.command("admin", "set-routes", "--model", FAST, "--sticky", "none")
    assert (loose.returncode, len(loose.stdout.splitlines())) == (0, 3)
    changed.sticky = pb.STICKY_UNSPECIFIED
    assert model(stack, FAST) == changed


@pytest.mark.parametrize(
    "arguments, status, said",
    [
        ((), 2, "at least one route"),
        (("--route", "upstream=default"), 2, "must name upstream= and model="),
        (("--route", "upstream=nowhere,model=x"), 1, "There is no upstream 'nowhere'."),
        (("--sticky", "glue"), 2, "glue"),
    ],
)
def test_routes_that_make_no_sense_are_refused(
    stack: RunningStack, arguments: tuple[str, ...], status: int, said: str
) -> None:
    before = model(stack, CODE)
    refused = stack.command("admin", "set-routes", "--model", CODE, *arguments)
    assert (refused.returncode, refused.stdout, said in refused.stderr) == (status, "", True), refused.stderr
    assert model(stack, CODE) == before


def test_a_route_can_name_all_its_time_limits() -> None:
    typed = "model=m,upstream=u,weight=2,position=3,connect-s=1,first-byte-s=2.25,idle-s=0.001,total-s=86400"
    assert parse_route(typed) == pb.Route(
        upstream_name="u",
        upstream_model="m",
        weight=2,
        position=3,
        connect_timeout_ms=1_000,
        first_byte_timeout_ms=2_250,
        idle_timeout_ms=1,
        total_timeout_ms=86_400_000,
    )


@pytest.mark.parametrize(
    "more",
    [
        "",
        "wait=1",
        "weight",
        "weight=",
        "weight=-1",
        "weight=1.5",
        "weight=²",
        "weight=99999999999",
        "upstream=other",
        "total-s=0",
        "total-s=86400.001",
        "total-s=NaN",
        "total-s=-Infinity",
        "total-s=soon",
    ],
)
def test_a_route_that_is_mistyped_is_a_usage_error(more: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_route(f"upstream=u,model=m,{more}")


def test_models_answer_in_the_place_of_another_until_none_does(stack: RunningStack) -> None:
    base = ("admin", "set-fallbacks", "--model", PRO)
    done = stack.command(*base, "--to", CODE, "--to", FAST)
    assert (done.returncode, done.stdout) == (0, f"In the place of {PRO} answers {CODE}, then {FAST}.\n")
    assert list(model(stack, PRO).fallback_models) == [CODE, FAST]
    for wrong, status in (((), 2), (("--to", FAST, "--none"), 2), (("--to", PRO), 1), (("--to", "acme/none"), 1)):
        assert stack.command(*base, *wrong).returncode == status
    assert list(model(stack, PRO).fallback_models) == [CODE, FAST]
    done = stack.command(*base, "--none")
    assert (done.returncode, done.stdout) == (0, f"In the place of {PRO} answers no other model.\n")
    assert list(model(stack, PRO).fallback_models) == []
