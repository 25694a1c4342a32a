"""What the edge remembers of auth, billing and catalog, and how it forgets."""
