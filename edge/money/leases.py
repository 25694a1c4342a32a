"""A lease as the worker that holds it sees it: totals, and what of it is free."""


class Lease:
    """Credit set aside for one (account, API key) on this worker; nano-dollars throughout."""

    __slots__ = ("id",)

    def __init__(self, lease_id: str) -> None:
        self.id = lease_id
