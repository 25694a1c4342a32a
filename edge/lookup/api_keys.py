"""Which caller a secret belongs to, remembered for 30 s and forgotten as soon as the key changes."""

from edge.lookup.callers import Caller


class ApiKeys:
    """Resolved API keys. `cached` first; `resolve` where it knows nothing."""

    def cached(self, secret: str) -> Caller | None:
        """The caller, if known and not too old; a look-up in a dict."""
        raise NotImplementedError

    async def resolve(self, secret: str) -> Caller:
        """The caller; misses of the same moment are asked for in one call.

        EdgeError invalid_api_key where the key is malformed, unknown, disabled, expired or deleted;
        service_unavailable where auth cannot be asked.
        """
        raise NotImplementedError

    def note_use(self, caller: Caller) -> None:
        """Notes that the key was used now; auth is told every 10 s."""
        raise NotImplementedError
