"""A hold: what one request may cost at most, reserved in a lease."""

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
