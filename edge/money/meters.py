"""Figures of the money path for `/metrics`."""

from prometheus_client import Counter, Gauge

leases = Gauge("edge_leases", "Credit leases that this worker has.")
held_nanos = Gauge("edge_held_nanos", "Held for running requests.")
free_nanos = Gauge("edge_free_nanos", "Leased, and free to be held.")
billing_silent_s = Gauge("edge_billing_silent_seconds", "Since billing last answered about leases.")
tasks = Gauge("edge_tasks", "Tasks of the event loop; without requests always the same few.")
journal_rows = Gauge("edge_journal_rows", "Final records that usage has not acknowledged.")
journal_oldest_s = Gauge("edge_journal_oldest_seconds", "Age of the oldest of them.")
journal_refuses = Gauge("edge_journal_refuses", "1 while the journal cannot be written or is full.")
journal_bytes = Gauge("edge_journal_bytes", "Size of what stands in the journal.")
journal_max_bytes = Gauge("edge_journal_max_bytes", "Size of the journal from which on new requests are refused.")
journal_disk_free_bytes = Gauge("edge_journal_disk_free_bytes", "Free on the disk of the journal.")
journal_disk_bytes = Gauge("edge_journal_disk_bytes", "Size of the disk of the journal.")
parked = Counter("edge_journal_parked", "Final records that usage refused; they are kept, and a person must look.")
adopted = Counter("edge_journal_adopted", "Journals of dead workers that were shipped.")
set_aside = Counter("edge_journal_set_aside", "Journals that could not be read and were renamed.")
uncharged_nanos = Counter("edge_beyond_hold_nanos", "What upstreams claimed beyond the hold, and was not charged.")
