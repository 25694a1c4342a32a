"""The key management of a LiteLLM proxy: the three paths of it that are ever called, under its master key.

https://docs.litellm.ai/docs/proxy/virtual_keys
"""

import asyncio
from collections.abc import Mapping, Sequence
from uuid import UUID

import httpx
import msgspec

from kit import tracing
from kit.logs import get_logger
from kit.money import NANOS_PER_USD, format_usd
from services.auth.errors import VirtualKeyRefused, VirtualKeyUncertain

GENERATE = "/key/generate"
UPDATE = "/key/update"
DELETE = "/key/delete"

# Under the 5 s that callers of auth wait by default.
DEADLINE_S = 4.0

log = get_logger()


class Proxy:
    """A proxy that has a database. A virtual key's alias is the id of its API key.

    Of the master keys the one that the proxy took last is tried first, and the others where it answers 401: while the
    proxy's master key is being changed, both the old and the new one are known here.
    """

    def __init__(self, client: httpx.AsyncClient, master_keys: Sequence[str]) -> None:
        """`client` knows the proxy's address."""
        self._client = client
        self._master_keys = tuple(master_keys)

    async def generate(self, api_key_id: UUID, *, user_id: UUID, monthly_limit_nanos: int | None) -> str:
        """A new virtual key, the only one with its alias.

        VirtualKeyRefused where there is none now, VirtualKeyUncertain where there may be one, or may yet come to be.
        """
        request = {
            "key_alias": str(api_key_id),
            "metadata": {"privaterouter_api_key_id": str(api_key_id), "privaterouter_user_id": str(user_id)},
            # It may be used to ask models, and for nothing else at the proxy.
            "key_type": "llm_api",
            **(budget(monthly_limit_nanos) if monthly_limit_nanos is not None else {}),
        }
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._post(GENERATE, request)
                if _is_taken(answer):
                    # By an earlier try whose answer was lost: nobody knows that virtual key.
                    await self._post(DELETE, {"key_aliases": [str(api_key_id)]})
                    answer = await self._post(GENERATE, request)
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("virtual_key_refused", api_key_id=str(api_key_id), error=repr(error))
            raise VirtualKeyUncertain(
                "the upstream proxy did not answer; nothing was stored: try again later"
            ) from None
        if answer.is_success and isinstance(key := _field(answer, "key"), str) and key:
            return key
        log.warning("virtual_key_refused", api_key_id=str(api_key_id), error=f"status {answer.status_code}")
        raise VirtualKeyRefused("the upstream proxy did not create a virtual key; nothing was stored: try again later")

    async def update(self, api_key_id: UUID, virtual_key: str, *, monthly_limit_nanos: int | None) -> bool:
        """Gives a virtual key the budget of this limit; answers whether that is done, or the proxy has no such key."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._post(UPDATE, {"key": virtual_key, **budget(monthly_limit_nanos)})
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("virtual_key_not_updated_yet", api_key_id=str(api_key_id), error=repr(error))
            return False
        return self._is_settled(answer, "virtual_key_not_updated_yet", api_key_id)

    async def delete(self, api_key_id: UUID) -> bool:
        """Deletes the API key's virtual key; answers whether there is none now."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                answer = await self._post(DELETE, {"key_aliases": [str(api_key_id)]})
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("virtual_key_not_deleted_yet", api_key_id=str(api_key_id), error=repr(error))
            return False
        return self._is_settled(answer, "virtual_key_not_deleted_yet", api_key_id)

    def _is_settled(self, answer: httpx.Response, event: str, api_key_id: UUID) -> bool:
        # Where it has no such key LiteLLM answers 404 with an `error`; a 404 without one is another server's.
        if answer.is_success or (answer.status_code == httpx.codes.NOT_FOUND and _field(answer, "error")):
            return True
        log.warning(event, api_key_id=str(api_key_id), error=f"status {answer.status_code}")
        return False

    async def _post(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        """The proxy's answer under a master key that it takes, or its refusal of all of them. httpx.HTTPError."""
        content = msgspec.json.encode(body)
        for master_key in self._master_keys:
            headers = {"authorization": f"Bearer {master_key}", "content-type": "application/json"}
            with tracing.calling(f"POST {path}", {"privaterouter.upstream_kind": "litellm"}) as of_the_trace:
                answer = await self._client.post(path, content=content, headers={**headers, **of_the_trace})
            if answer.status_code != httpx.codes.UNAUTHORIZED:
                if master_key != self._master_keys[0]:
                    log.info("litellm_master_key_changed")
                    self._master_keys = (master_key, *(key for key in self._master_keys if key != master_key))
                break
        return answer


def budget(monthly_limit_nanos: int | None) -> dict[str, object]:
    """The proxy's fields for a monthly limit: a backstop above our own, which is the one that callers should meet.

    Twice the limit and a dollar: so it holds nobody up even where the proxy's month begins on another day than the UTC
    month, and where it prices a little differently. None: no budget.
    """
    if monthly_limit_nanos is None:
        return {"max_budget": None, "budget_duration": None}
    dollars = format_usd(2 * monthly_limit_nanos + NANOS_PER_USD)
    return {"max_budget": msgspec.Raw(dollars.encode()), "budget_duration": "1mo"}


def _is_taken(answer: httpx.Response) -> bool:
    """Whether the proxy refuses because it has a key with this alias."""
    error = _field(answer, "error")
    return (
        answer.status_code == httpx.codes.BAD_REQUEST and isinstance(error, dict) and error.get("param") == "key_alias"
    )


def _field(answer: httpx.Response, name: str) -> object:
    """A field of a JSON object; None where the answer has none, or is none."""
    try:
        body: object = answer.json()
    except ValueError:
        return None
    return body.get(name) if isinstance(body, dict) else None
