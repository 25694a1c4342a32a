"""The rule about traffic: what the policies let through, tried for all pairs of pods, is what must get through."""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

from tests.deploy.k8s.code import OURS, SERVICES, callers, is_ours, port_of, settings_of
from tests.support.manifests import NAME, Labels, Manifest, Manifests, selects

PORTS = (53, 443, 3000, 4000, 4317, 4318, 5432, 6379, 6443, 8000, 9187, 9464, 11434, 50060, *map(port_of, SERVICES))
"""All that anybody here opens, or has a reason to call."""
FOR_ALL = (53, 443, 3000, 6443, 8000)
"""Of the edge, and of the outside."""


@dataclass(frozen=True)
class Place:
    """A pod, or an address outside."""

    name: str
    labels: Labels = field(default_factory=dict, hash=False)
    namespace: str = ""
    """Empty: that of the manifests."""
    address: str = "10.1.2.3"

    @property
    def outside(self) -> bool:
        """Whether the policies are not about it."""
        return bool(self.namespace)


OUTSIDE = (
    Place("prometheus", {}, "monitoring"),
    Place("operator of postgres", {}, "cnpg-system"),
    Place("dns", {"k8s-app": "kube-dns"}, "kube-system"),
    Place("another tenant", {}, "tenant"),
    Place("internet", {}, "-", "203.0.113.9"),
    Place("metadata", {}, "-", "169.254.169.254"),
    Place("cluster API", {}, "-", "10.96.0.1"),
)
Flow = tuple[str, str, int]
_OUTSIDE = {place.name for place in OUTSIDE}


def places(manifests: Manifests) -> list[Place]:
    """Everybody who may call or be called; the two that are the operator are one."""
    pods = {workload.labels[NAME]: workload.labels for workload in manifests.workloads()}
    if manifests.of("Cluster"):
        pods["postgres"] = {"cnpg.io/cluster": "postgres"}
    return [*(Place(name, labels) for name, labels in pods.items()), *OUTSIDE]


def let_through(manifests: Manifests) -> set[Flow]:
    """(caller, called, port) of all that the policies let through, between pods or with the outside."""
    return {flow for flow in lets(manifests, "Egress") & lets(manifests, "Ingress") if not set(flow[:2]) <= _OUTSIDE}


def lets(manifests: Manifests, direction: str) -> set[Flow]:
    """What one end lets through: the callers ("Egress") or the called. Who is outside lets everything through."""
    policies = [each["spec"] for each in manifests.of("NetworkPolicy") if direction in each["spec"]["policyTypes"]]
    everybody = places(manifests)
    found = set()
    for place in everybody:
        mine = [] if place.outside else [each for each in policies if selects(each["podSelector"], place.labels)]
        rules = [rule for policy in mine for rule in policy.get(direction.lower(), [])] if mine else [{}]
        for rule in rules:
            peers = rule.get("to" if direction == "Egress" else "from")
            names = [each.name for each in everybody if peers is None or any(_is(each, peer) for peer in peers)]
            ports = [each["port"] for each in rule["ports"]] if "ports" in rule else PORTS
            ends = product([place.name], names) if direction == "Egress" else product(names, [place.name])
            found |= {(caller, called, port) for (caller, called), port in product(ends, ports)}
    return found


def _is(place: Place, peer: Manifest) -> bool:
    if block := peer.get("ipBlock"):
        address = ipaddress.ip_address(place.address)
        inside = [address in ipaddress.ip_network(each) for each in (block["cidr"], *block.get("except", []))]
        return inside[0] and not any(inside[1:])
    if "namespaceSelector" in peer:
        labels = {"kubernetes.io/metadata.name": place.namespace}
        return selects(peer["namespaceSelector"], labels) and selects(peer.get("podSelector", {}), place.labels)
    return not place.outside and selects(peer["podSelector"], place.labels)


def wanted(manifests: Manifests) -> set[Flow]:
    """What must get through: by the table of callers, the settings of each process, and what the components are for."""
    names = {place.name for place in places(manifests) if not place.outside}
    flows = {(caller, service, port_of(service)) for service in SERVICES for caller in callers(service)}
    flows |= {("internet", "edge", port) for port in (8000, 3000)}
    flows |= {(other.name, "edge", port) for other in OUTSIDE for port in (8000, 3000)}
    flows |= {("prometheus", name, 9464) for name in OURS}
    flows |= {(name, "prometheus", port) for name in OURS for port in (4317, 4318)}
    flows |= {(name, "dns", 53) for name in names}
    for workload in manifests.workloads():
        for container in filter(is_ours, workload.containers):
            settings = settings_of(container).model_fields
            # The edge has a default, which is of no use here; the command line has neither.
            if "redis_url" in settings:
                flows.add((workload.labels[NAME], "valkey", 6379))
            if any(name.endswith("database_url") for name in settings):
                flows.add((workload.labels[NAME], "postgres", 5432))
    flows |= {("edge", "litellm", 4000), ("auth", "litellm", 4000), ("litellm", "internet", 443)}
    flows |= {(name, "ollama", 11434) for name in ("edge", "litellm", "operator")} | {("ollama", "internet", 443)}
    flows |= {("postgres", "postgres", port) for port in (5432, 8000)}
    flows |= {("operator of postgres", "postgres", port) for port in (5432, 8000)} | {("prometheus", "postgres", 9187)}
    flows |= {("postgres", other.name, port) for other in OUTSIDE for port in (443, 6443)}
    if manifests.of("Database"):
        flows.add(("litellm", "postgres", 5432))
    known = names | {other.name for other in OUTSIDE}
    return {flow for flow in flows if {flow[0], flow[1]} <= known}


def policed(manifests: Manifests) -> Iterator[str]:
    """What is let through is what must get through, no more and no less; and neither end relies on the other's rule."""
    let, want = let_through(manifests), wanted(manifests)
    yield from (f"{caller} cannot call {called} at {port}" for caller, called, port in sorted(want - let))
    yield from (f"{caller} can call {called} at {port}" for caller, called, port in sorted(let - want))
    for direction in ("Egress", "Ingress"):
        for caller, called, port in sorted(lets(manifests, direction) - want):
            # What is for everybody is for pods here as well; what may go out to any address may go to theirs.
            if port not in FOR_ALL and not {caller, called} & _OUTSIDE:
                yield f"{direction} alone would let {caller} call {called} at {port}"
