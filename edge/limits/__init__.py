"""Rate limits, kept in Valkey and in the process while Valkey is away."""
