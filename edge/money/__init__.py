"""What the edge does about money: holds, leases, the journal and its shipping."""
