"""The times and sizes of the money path, in one place so that tests can scale them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds, nano-dollars, rows and bytes; the defaults are those that the services expect."""

    renew_s: float = 10.0
    """Between renewals of the leases."""
    stale_s: float = 60.0
    """Since the last answered renewal was sent: no new holds after that. Billing's leases expire then."""
    idle_s: float = 5.0
    """Without a request: the lease is closed."""
    recent_s: float = 10.0
    """The past that a lease's cushion is sized by."""
    max_cushion_nanos: int = 1_000_000_000
    """Most free credit that is asked for ahead of need."""
    patience_s: float = 0.5
    """How long credit is asked for again while it is being recalled from elsewhere."""
    retry_s: float = 0.02
    """Between two such calls; doubles."""
    refusal_s: float = 1.0
    """How long a 402 is remembered."""
    quiet_s: float = 5.0
    """After a recall: no credit is asked for ahead of need."""
    ask_timeout_s: float = 2.0
    """Deadline of AcquireLeases."""
    renew_timeout_s: float = 5.0
    """Deadline of RenewLeases and CloseLeases."""

    tick_s: float = 1.0
    """Between reports of open records, checks for idle leases, and retries of what failed."""
    ship_wait_s: float = 0.05
    """From the first waiting row to the call."""
    ship_rows: int = 500
    """Rows that make a call at once."""
    ship_most: int = 5_000
    """Most rows in a call."""
    ship_timeout_s: float = 10.0
    ship_backoff_s: float = 0.1
    """Before the first retry; doubles up to `ship_backoff_most_s`."""
    ship_backoff_most_s: float = 5.0
    life_s: float = 10.0
    """Between signs of life to usage."""
    adopt_s: float = 10.0
    """Between looks for journals of dead workers."""
    journal_bytes: int = 1 << 30
    """Size of the journal from which on new requests are refused."""
    close_s: float = 5.0
    """At most, to ship and close everything at the end."""
