"""Every RPC says who may call it: those that do, and nobody else; the page for operators says the same."""

import ast
import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import pages

ROOT = Path(__file__).parents[2]
SERVICES = ("auth", "catalog", "billing", "usage")
IDENTITIES = {"edge", *SERVICES, "operator"}
PACKAGES = {"edge": "edge", "cli": "operator", **{f"services/{name}": name for name in SERVICES}}


def allowed(service: str) -> Mapping[str, frozenset[str]]:
    callers: Mapping[str, frozenset[str]] = importlib.import_module(f"services.{service}.callers").CALLERS
    return callers


def contract(service: str) -> list[str]:
    file = importlib.import_module(f"privaterouter.{service}.v1.{service}_pb2").DESCRIPTOR
    return [method.name for method in file.services_by_name[f"{service.title()}Service"].methods]


def calls() -> Iterator[tuple[str, str, str]]:
    """(who, service or nothing where the code does not name it, RPC) of each call of a stub in our code."""
    rpcs = {rpc for service in SERVICES for rpc in contract(service)}
    for package, who in PACKAGES.items():
        for file in sorted((ROOT / package).rglob("*.py")):
            text = file.read_text()
            if not any(rpc in text for rpc in rpcs):
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Attribute) and node.attr in rpcs:
                    last = ast.unparse(node.value).rpartition(".")[2].strip("_")
                    yield who, last if last in SERVICES else "", node.attr


@pytest.mark.parametrize("service", SERVICES)
def test_every_rpc_of_the_contract_stands_in_the_table_once(service: str) -> None:
    assert list(allowed(service)) == contract(service)
    assert all(callers and callers <= IDENTITIES for callers in allowed(service).values())


def test_who_may_call_an_rpc_is_who_calls_it() -> None:
    found = list(calls())
    assert len(found) > 80
    for service in SERVICES:
        others = {rpc for other in SERVICES if other != service for rpc in contract(other)}
        made = {
            rpc: frozenset(
                who for who, named, called in found if called == rpc and (named == service or rpc not in others)
            )
            for rpc in contract(service)
        }
        assert made == allowed(service)


def test_the_page_has_the_same_table() -> None:
    rows = pages.table(pages.read("docs/architecture.md"), "Service", "Callers", "RPCs")
    listed = [
        (row["Service"], rpc.strip("` "), frozenset(row["Callers"].split(", ")))
        for row in rows
        for rpc in row["RPCs"].split(",")
    ]
    assert sorted(listed, key=str) == sorted(
        ((service, rpc, callers) for service in SERVICES for rpc, callers in allowed(service).items()), key=str
    )
