"""A hold: what one request may cost at most, reserved in a lease."""

from typing import Protocol

from edge.money.leases import Lease


class Hold:
    """`nanos` of one lease's credit, reserved for one request until it is finished or released.

    `lease` is None where nothing had to be held.
    """

    __slots__ = ("ended", "lease", "nanos")

    def __init__(self, lease: Lease | None, nanos: int) -> None:
        self.lease = lease
        self.nanos = nanos
        self.ended = False


class Needs(Protocol):
    """What a request may cost, in nano-dollars: as it was asked for, and what the shortest useful answer does."""

    @property
    def full_nanos(self) -> int:
        """For the whole of it."""

    @property
    def least_nanos(self) -> int:
        """For the least of it."""
