"""Usage: what each request used, its way to billing, and reports over it."""
