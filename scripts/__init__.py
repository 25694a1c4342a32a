"""Programs under the names that a person types in a container."""
