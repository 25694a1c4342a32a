"""The endpoints that people and their dashboard use: sessions, keys, money, reports, administration."""
