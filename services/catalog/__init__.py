"""The catalogue: models with their prices, plans, upstreams and routes, read by everybody as one snapshot."""
