"""The four services and the edge: whether they answer, and want traffic."""

import asyncio

import httpx

from cli.checks.check import ANSWER_WITHIN_S, Check, failed, ok, skipped, warning
from cli.checks.surroundings import Surroundings
from cli.connect import SERVICES
from kit.client import channel
from kit.health import is_serving
from kit.tls import Tls


async def services(here: Surroundings) -> list[Check]:
    """Each asked for itself."""
    return list(await asyncio.gather(*(_service(name, here.targets[name], tls=here.tls) for name in SERVICES)))


async def _service(name: str, target: str, *, tls: Tls | None) -> Check:
    if not target:
        return skipped(name, f"no stack runs here, and {name.upper()}_ADDR is not set")
    async with channel(target, SERVICES[name], tls=tls) as connected:
        if await is_serving(connected, timeout_s=ANSWER_WITHIN_S):
            return ok(name, f"ready at {target}")
        if await is_serving(connected, "liveness", timeout_s=ANSWER_WITHIN_S):
            return failed(name, f"at {target} is alive and not ready", "see its log: most likely its database is away")
    return failed(name, f"does not answer at {target}", f"start it, or set {name.upper()}_ADDR (and TLS_DIR) right")


async def edge(here: Surroundings) -> list[Check]:
    """The edge of the embedded stack; those of a deployment have no address here."""
    if not here.running:
        return [skipped("edge", "ask each edge itself: GET /health/ready")]
    url = f"{here.running.api_url}/health/ready"
    try:
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN_S, trust_env=False) as http:
            answer = await http.get(url)
            told = answer.json()
            away = [name for name, state in told["dependencies"].items() if state != "ok"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        return [failed("edge", f"does not answer at {url}: {error}", "see its log")]
    if answer.status_code != 200:
        return [failed("edge", f"wants no traffic: {', '.join(away)}", "see its log")]
    if away:
        return [warning("edge", f"misses {', '.join(away)}", "see those above")]
    return [ok("edge", f"ready at {here.running.api_url}")]
