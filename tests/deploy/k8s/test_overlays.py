"""The overlays, and each component on its own, keep every rule."""

import json
from collections.abc import Callable, Iterator

import pytest
import yaml

from deploy.k8s import make_rules
from deploy.local import litellm
from edge.settings import EdgeSettings
from edge.v1.counting import MAX_BODY_BYTES
from services.catalog import seed_data
from tests.deploy.k8s import rules_pods, rules_scale, rules_traffic, rules_wiring
from tests.deploy.k8s.conftest import COMPONENTS, K8S, OVERLAYS, Rendering
from tests.deploy.k8s.rules_wiring import MADE
from tests.support import compose
from tests.support.manifests import Manifests

Rule = Callable[[Manifests], Iterator[str]]

RULES: tuple[Rule, ...] = (
    rules_pods.confined,
    rules_pods.probed,
    rules_pods.given_time,
    rules_pods.bounded,
    rules_pods.has_its_places,
    rules_pods.hooked,
    rules_wiring.fitting,
    rules_wiring.named,
    rules_wiring.ported,
    rules_wiring.told,
    rules_wiring.certified,
    rules_scale.protected,
    rules_scale.updated,
    rules_scale.spread,
    rules_scale.scaled,
    rules_scale.connected,
    rules_traffic.policed,
)
NOT_ALONE = {rules_wiring.ported, rules_traffic.policed}
"""A component alone has addresses of what is not there, and only with the policies nobody else gets through."""


def rule_id(rule: Rule) -> str:
    return rule.__name__


@pytest.mark.parametrize("rule", RULES, ids=rule_id)
@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_keeps_the_rule(overlay: Rendering, name: str, rule: Rule) -> None:
    assert list(rule(overlay(name))) == []


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_component_keeps_the_rules_without_the_others(component: Rendering, name: str) -> None:
    manifests = component(name)
    assert {rule.__name__: found for rule in RULES if rule not in NOT_ALONE and (found := list(rule(manifests)))} == {}


def test_every_component_is_in_an_overlay_or_another_way_to_the_same() -> None:
    texts = "".join((K8S / "overlays" / name / "kustomization.yaml").read_text() for name in OVERLAYS)
    assert {name for name in COMPONENTS if f"../../components/{name}" not in texts} == {"external-upstreams"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_names_every_image_in_one_place_where_a_digest_can_stand(overlay: Rendering, name: str) -> None:
    listed = yaml.safe_load((K8S / "overlays" / name / "kustomization.yaml").read_text())["images"]
    used = {container["image"] for workload in overlay(name).workloads() for container in workload.containers}
    assert {f"{each.get('newName', each['name'])}:{each['newTag']}" for each in listed} == used


def test_no_overlay_has_a_way_to_litellm_from_outside(overlay: Rendering) -> None:
    for name in OVERLAYS:
        manifests = overlay(name)
        into = {flow[0] for flow in rules_traffic.let_through(manifests) if flow[1] == "litellm"}
        assert into <= {"edge", "auth"}
        assert {each["spec"].get("type", "ClusterIP") for each in manifests.of("Service")} == {"ClusterIP"}


def test_the_way_in_lets_through_what_the_edge_takes_for_as_long_as_it_lasts(component: Rendering) -> None:
    (ingress,) = component("ingress").of("Ingress")
    told = {name.partition("/")[2]: text for name, text in ingress["metadata"]["annotations"].items()}
    assert told["proxy-body-size"] == f"{MAX_BODY_BYTES >> 20}m"
    assert (told["proxy-buffering"], told["proxy-next-upstream"]) == ("off", "error")
    kept_s: int = EdgeSettings.model_fields["edge_keep_alive_s"].default
    assert min(int(told["proxy-read-timeout"]), kept_s) >= 60
    for route in component("gateway").of("HTTPRoute"):
        assert {rule["timeouts"]["request"] for rule in route["spec"]["rules"]} == {"0s"}


def test_litellm_gets_no_secret_of_ours(overlay: Rendering) -> None:
    (main,) = overlay("production").workload("litellm").containers
    assert main["envFrom"] == [{"secretRef": {"name": "litellm"}}]
    assert not any("secret" in volume for volume in overlay("production").workload("litellm").volumes.values())
    others = {value for secret, values in MADE.items() if "litellm" not in secret for value in values.values()}
    shared = others & set(MADE["litellm"].values())
    assert shared == {MADE["litellm"]["LITELLM_MASTER_KEY"]}  # which auth and the edge show it


def test_litellm_knows_the_models_of_the_catalogue(overlay: Rendering) -> None:
    config = yaml.safe_load(overlay("production").get("ConfigMap", "litellm")["data"]["config.yaml"])
    names = {each["model_name"]: each["litellm_params"]["model"] for each in config["model_list"]}
    assert names == {model.upstream_model: f"openai/{model.upstream_model}" for model in seed_data.MODELS}
    assert {each["litellm_params"]["api_base"] for each in config["model_list"]} == {"http://ollama:11434/v1"}
    alike = litellm.config(chat_url="", embed_url="")
    for part in ("litellm_settings", "router_settings", "general_settings"):
        assert alike[part].items() <= config[part].items()  # type: ignore[attr-defined]


def test_the_alerts_are_those_that_prometheus_reads_elsewhere(overlay: Rendering) -> None:
    """`make alerts` makes the manifest anew."""
    assert make_rules.MANIFEST.read_text() == make_rules.manifest()
    groups = [
        group for file in sorted(make_rules.RULES.iterdir()) for group in yaml.safe_load(file.read_text())["groups"]
    ]
    assert overlay("production").get("PrometheusRule", "privaterouter")["spec"]["groups"] == groups


def test_every_dashboard_is_found_by_grafana(overlay: Rendering) -> None:
    found = [
        each
        for each in overlay("production").of("ConfigMap")
        if "grafana_dashboard" in each["metadata"].get("labels", {})
    ]
    files = {name: json.loads(text) for each in found for name, text in each["data"].items()}
    directory = make_rules.DEPLOY / "monitoring" / "grafana" / "dashboards"
    assert files == {file.name: json.loads(file.read_text()) for file in directory.glob("*.json")}
    # `kubectl apply` notes a whole manifest in an annotation, of 256 KiB at most.
    assert all(len(json.dumps(each)) < 250_000 for each in found)


@pytest.mark.parametrize("name", OVERLAYS)
def test_others_images_are_those_of_docker_compose(overlay: Rendering, name: str) -> None:
    """Valkey, LiteLLM and Ollama: one release of each is tested, and runs everywhere."""
    used = {container["image"] for workload in overlay(name).workloads() for container in workload.containers}
    others = {image for image in used if "/privaterouter:" not in f"/{image}"}
    in_compose = {service["image"] for service in compose.rendered("*")["services"].values()}
    assert others <= in_compose
    assert {"valkey/valkey", "ollama/ollama"} <= {image.partition(":")[0] for image in others}
