"""The embedded stack: real PostgreSQL, real Valkey, a real small model and our processes, started from wheels."""
