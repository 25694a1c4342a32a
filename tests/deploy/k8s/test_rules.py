"""Each rule notices what it is for: the overlay for production, broken in one place."""

from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from typing import Any, NamedTuple

import pytest

from tests.deploy.k8s import rules_pods, rules_scale, rules_traffic, rules_wiring
from tests.deploy.k8s.conftest import Rendering
from tests.deploy.k8s.test_overlays import RULES, Rule
from tests.support.manifests import Manifests

POD = ("spec", "template", "spec")
MAIN = (*POD, "containers", "main")
LIMITS = (*MAIN, "resources", "limits")
LIVE = (*MAIN, "livenessProbe", "grpc")

Change = Callable[[Manifests], object]


class Broken(NamedTuple):
    """A rule, and a change that it must notice."""

    rule: Rule
    text: str
    change: Change


def key_in(where: Any, key: str | int) -> str | int:
    """What is in a list goes by its name."""
    if isinstance(where, list) and isinstance(key, str):
        return next(index for index, each in enumerate(where) if each["name"] == key)
    return key


def inside(where: Any, key: str | int) -> Any:
    """One step down."""
    return where[key_in(where, key)]


def put(kind: str, name: str, *path: str | int, to: object) -> Change:
    """Sets one value."""

    def change(manifests: Manifests) -> None:
        where: Any = reduce(inside, path[:-1], manifests.get(kind, name))
        where[key_in(where, path[-1])] = to

    return change


def drop(kind: str, name: str, *path: str | int) -> Change:
    """Takes one value away."""

    def change(manifests: Manifests) -> None:
        where: Any = reduce(inside, path[:-1], manifests.get(kind, name))
        del where[key_in(where, path[-1])]

    return change


def without(kind: str, name: str) -> Change:
    """Takes a whole manifest away."""
    return lambda manifests: manifests.all.remove(manifests.get(kind, name))


def tell(name: str, setting: str, text: str) -> Change:
    """Another value in a ConfigMap."""
    return put("ConfigMap", name, "data", setting, to=text)


def add_secret(manifests: Manifests) -> None:
    manifests.all.append({"kind": "Secret", "metadata": {"name": "edge"}, "stringData": {"jwt_secret": "x"}})


BROKEN = (
    Broken(rules_pods.confined, "root", put("Deployment", "auth", *POD, "securityContext", "runAsUser", to=0)),
    Broken(rules_pods.confined, "no seccomp", drop("StatefulSet", "edge", *POD, "securityContext", "seccompProfile")),
    Broken(rules_pods.confined, "a token", drop("Job", "migrate", *POD, "automountServiceAccountToken")),
    Broken(rules_pods.confined, "links", put("StatefulSet", "edge", *POD, "enableServiceLinks", to=True)),
    Broken(
        rules_pods.confined, "writable", drop("Deployment", "usage", *MAIN, "securityContext", "readOnlyRootFilesystem")
    ),
    Broken(rules_pods.confined, "capabilities", drop("Deployment", "valkey", *MAIN, "securityContext", "capabilities")),
    Broken(
        rules_pods.confined,
        "an init container that may gain privileges",
        drop("Job", "migrate", *POD, "initContainers", "migrate", "securityContext", "allowPrivilegeEscalation"),
    ),
    Broken(
        rules_pods.confined,
        "a directory of the host",
        put("StatefulSet", "edge", *POD, "volumes", "tmp", "hostPath", to={"path": "/"}),
    ),
    Broken(rules_pods.confined, "the host's network", put("StatefulSet", "edge", *POD, "hostNetwork", to=True)),
    Broken(rules_pods.confined, "an open namespace", drop("Namespace", "privaterouter", "metadata", "labels")),
    Broken(rules_pods.probed, "no startup probe", drop("Deployment", "billing", *MAIN, "startupProbe")),
    Broken(rules_pods.probed, "a longer wait at the start", tell("billing", "START_WITHIN_S", "170")),
    Broken(rules_pods.probed, "another name", put("Deployment", "billing", *LIVE, "service", to="readiness")),
    Broken(rules_pods.probed, "the port of RPCs", put("Deployment", "billing", *LIVE, "port", to=50053)),
    Broken(
        rules_pods.probed,
        "readiness as liveness",
        put("StatefulSet", "edge", *MAIN, "livenessProbe", "httpGet", "path", to="/health/ready"),
    ),
    Broken(rules_pods.given_time, "a longer drain", tell("edge", "EDGE_DRAIN_S", "600")),
    Broken(
        rules_pods.given_time, "a short grace", put("Deployment", "usage", *POD, "terminationGracePeriodSeconds", to=30)
    ),
    Broken(rules_pods.given_time, "no preStop", drop("StatefulSet", "edge", *MAIN, "lifecycle")),
    Broken(
        rules_pods.given_time,
        "an impatient LiteLLM",
        put("Deployment", "litellm", *POD, "terminationGracePeriodSeconds", to=60),
    ),
    Broken(rules_pods.bounded, "no limit", drop("Deployment", "auth", *LIMITS, "memory")),
    Broken(rules_pods.bounded, "a limit of CPU", put("Deployment", "auth", *LIMITS, "cpu", to="1")),
    Broken(rules_pods.bounded, "no quantity", put("Deployment", "auth", *LIMITS, "memory", to="512MB")),
    Broken(rules_pods.bounded, "less than requested", put("Deployment", "auth", *LIMITS, "memory", to="64Mi")),
    Broken(
        rules_pods.bounded,
        "a volume of two bytes",
        put(
            "StatefulSet", "edge", "spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage", to="2"
        ),
    ),
    Broken(rules_pods.has_its_places, "a journal that is lost", tell("edge", "EDGE_JOURNAL_DIR", "/var/lib/journal")),
    Broken(
        rules_pods.has_its_places,
        "a small journal",
        put(
            "StatefulSet",
            "edge",
            "spec",
            "volumeClaimTemplates",
            0,
            "spec",
            "resources",
            "requests",
            "storage",
            to="1Gi",
        ),
    ),
    Broken(rules_pods.has_its_places, "secrets elsewhere", tell("auth", "SECRETS_DIR", "/run/secrets")),
    Broken(
        rules_pods.has_its_places,
        "writable secrets",
        drop("Deployment", "usage", *MAIN, "volumeMounts", "secrets", "readOnly"),
    ),
    Broken(rules_pods.hooked, "the newest", put("Deployment", "catalog", *MAIN, "image", to="privaterouter:latest")),
    Broken(rules_pods.hooked, "any", put("Deployment", "catalog", *MAIN, "image", to="registry:5000/privaterouter")),
    Broken(
        rules_wiring.fitting,
        "another label",
        put("Deployment", "auth", "spec", "template", "metadata", "labels", "app.kubernetes.io/name", to="aut"),
    ),
    Broken(
        rules_wiring.fitting,
        "a Service of nobody",
        put("Service", "usage", "spec", "selector", "app.kubernetes.io/name", to="usages"),
    ),
    Broken(
        rules_wiring.fitting,
        "a budget of others",
        put("PodDisruptionBudget", "usage", "spec", "selector", "matchLabels", "app.kubernetes.io/name", to="auth"),
    ),
    Broken(
        rules_wiring.fitting,
        "spread by what is not there",
        put("StatefulSet", "edge", *POD, "topologySpreadConstraints", 0, "matchLabelKeys", to=["pod-template-hash"]),
    ),
    Broken(
        rules_wiring.named,
        "an unknown Secret",
        put(
            "Deployment", "auth", *POD, "volumes", "secrets", to={"name": "secrets", "secret": {"secretName": "auths"}}
        ),
    ),
    Broken(
        rules_wiring.named,
        "an unknown ConfigMap",
        put("StatefulSet", "edge", *MAIN, "envFrom", 0, "configMapRef", "name", to="edge"),
    ),
    Broken(rules_wiring.named, "no account", without("ServiceAccount", "operator")),
    Broken(rules_wiring.named, "no issuer", without("Issuer", "privaterouter")),
    Broken(
        rules_wiring.ported,
        "another port",
        put("Deployment", "usage", *MAIN, "ports", "grpc", "containerPort", to=50055),
    ),
    Broken(rules_wiring.ported, "a server elsewhere", tell("billing", "BILLING_LISTEN", "0.0.0.0:50055")),
    Broken(
        rules_wiring.ported,
        "metrics that nobody serves",
        put("PodMonitor", "privaterouter", "spec", "podMetricsEndpoints", 0, "port", to="http"),
    ),
    Broken(rules_wiring.ported, "an address of nobody", tell("edge", "USAGE_ADDR", "dns:///usages:50054")),
    Broken(rules_wiring.ported, "one address for all pods", drop("Service", "auth", "spec", "clusterIP")),
    Broken(
        rules_wiring.ported,
        "a route to nowhere",
        put("HTTPRoute", "api", "spec", "rules", 0, "backendRefs", 0, "port", to=8080),
    ),
    Broken(
        rules_wiring.ported,
        "a probe at a closed port",
        put("Deployment", "litellm", *MAIN, "livenessProbe", "httpGet", "port", to="https"),
    ),
    Broken(rules_wiring.told, "a setting of another", tell("billing", "BILLING_ADDR", "dns:///billing:50053")),
    Broken(rules_wiring.told, "a mistyped setting", tell("edge", "EDGE_DRAINS_S", "300")),
    Broken(
        rules_wiring.told, "a secret in a ConfigMap", tell("edge", "JWT_SECRET", "0123456789abcdef0123456789abcdef")
    ),
    Broken(rules_wiring.told, "an address with a password", tell("edge", "REDIS_URL", "redis://:secret@valkey:6379")),
    Broken(
        rules_wiring.told,
        "a secret in the environment",
        put("StatefulSet", "edge", *MAIN, "envFrom", 0, to={"secretRef": {"name": "edge"}}),
    ),
    Broken(
        rules_wiring.told,
        "a program that is not there",
        put("Deployment", "auth", *MAIN, "command", 2, to="services.author"),
    ),
    Broken(rules_wiring.told, "a Secret", add_secret),
    Broken(
        rules_wiring.certified,
        "another identity",
        put("Certificate", "usage", "spec", "uris", to=["spiffe://privaterouter/edge"]),
    ),
    Broken(
        rules_wiring.certified,
        "another name",
        put("Certificate", "usage", "spec", "dnsNames", to=["usage.example.com"]),
    ),
    Broken(rules_wiring.certified, "no certificate", without("Certificate", "operator")),
    Broken(rules_wiring.certified, "looked for elsewhere", tell("auth", "TLS_DIR", "/etc/tls")),
    Broken(
        rules_wiring.certified,
        "somebody else's",
        put("Deployment", "operator", *POD, "volumes", "tls", "secret", "secretName", to="edge-tls"),
    ),
    Broken(rules_scale.protected, "no budget", without("PodDisruptionBudget", "billing")),
    Broken(
        rules_scale.protected,
        "a budget that stops drains",
        put("PodDisruptionBudget", "valkey", "spec", to={"minAvailable": 1}),
    ),
    Broken(
        rules_scale.updated,
        "pods away first",
        put("Deployment", "auth", "spec", "strategy", "rollingUpdate", "maxUnavailable", to=1),
    ),
    Broken(rules_scale.updated, "too fast for DNS", put("Deployment", "auth", "spec", "minReadySeconds", to=5)),
    Broken(
        rules_scale.updated,
        "half an update",
        put("StatefulSet", "edge", "spec", "updateStrategy", "rollingUpdate", "partition", to=1),
    ),
    Broken(
        rules_scale.updated,
        "a journal that is deleted",
        put("StatefulSet", "edge", "spec", "persistentVolumeClaimRetentionPolicy", "whenScaled", to="Delete"),
    ),
    Broken(rules_scale.updated, "one edge", put("StatefulSet", "edge", "spec", "replicas", to=1)),
    Broken(rules_scale.spread, "all on one host", drop("Deployment", "usage", *POD, "topologySpreadConstraints")),
    Broken(
        rules_scale.scaled,
        "no target",
        put("HorizontalPodAutoscaler", "edge", "spec", "scaleTargetRef", "kind", to="Deployment"),
    ),
    Broken(rules_scale.scaled, "two masters", put("Deployment", "usage", "spec", "replicas", to=2)),
    Broken(rules_scale.scaled, "in a hurry", drop("HorizontalPodAutoscaler", "edge", "spec", "behavior", "scaleDown")),
    Broken(
        rules_scale.connected, "too many pods", put("HorizontalPodAutoscaler", "usage", "spec", "maxReplicas", to=12)
    ),
    Broken(
        rules_traffic.policed,
        "a caller more",
        put("NetworkPolicy", "usage", "spec", "ingress", 0, "from", 0, "podSelector", to={}),
    ),
    Broken(
        rules_traffic.policed,
        "a caller less",
        put(
            "NetworkPolicy", "to-billing", "spec", "podSelector", to={"matchLabels": {"app.kubernetes.io/name": "edge"}}
        ),
    ),
    Broken(rules_traffic.policed, "open doors", without("NetworkPolicy", "default-deny")),
    Broken(rules_traffic.policed, "LiteLLM for everybody", without("NetworkPolicy", "litellm")),
    Broken(
        rules_traffic.policed,
        "the cloud's metadata",
        put("NetworkPolicy", "ollama", "spec", "egress", 1, "to", 0, "ipBlock", to={"cidr": "0.0.0.0/0"}),
    ),
    Broken(rules_traffic.policed, "all of its ports", drop("NetworkPolicy", "edge", "spec", "ingress", 0, "ports")),
)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.rule.__name__}: {broken.text}")
def test_the_rule_notices(overlay: Rendering, broken: Broken) -> None:
    manifests = Manifests(deepcopy(overlay("production").all))
    broken.change(manifests)
    assert list(broken.rule(manifests))


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {broken.rule for broken in BROKEN} == set(RULES)
