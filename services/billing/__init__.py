"""Accounts, the ledger and credit leases: all the money there is."""
