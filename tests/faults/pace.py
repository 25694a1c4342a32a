"""The times of the money path in these runs: a tenth of those in production."""

import json
from dataclasses import asdict

from edge.money.pace import Pace

SCALE = 10
"""Times of the money path are so many times shorter than in production."""

PACE = Pace(
    renew_s=10 / SCALE,
    stale_s=60 / SCALE,
    idle_s=5 / SCALE,
    recent_s=10 / SCALE,
    quiet_s=5 / SCALE,
    tick_s=1 / SCALE,
    life_s=10 / SCALE,
    adopt_s=10 / SCALE,
    ship_timeout_s=20 / SCALE,
    ship_backoff_most_s=5 / SCALE,
)
"""Patience with a call is not scaled: the machine is as slow as it is."""
TIMES = {
    "EDGE_PACE": json.dumps(asdict(PACE)),
    "EDGE_DRAIN_S": "1.5",
    "BILLING_BEAT_S": str(1 / SCALE),
    "BILLING_LEASE_S": str(60 / SCALE),
    "BILLING_RELEASE_AFTER_S": str(90 / SCALE),
    "BILLING_RECALL_S": str(15 / SCALE),
    "USAGE_SETTLE_INTERVAL_S": str(1 / SCALE),
    "USAGE_LOST_AFTER_S": str(60 / SCALE),
    "USAGE_FORGOTTEN_AFTER_S": str(600 / SCALE),
}
