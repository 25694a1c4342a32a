"""PrivateRouter and other gateways side by side, on one fake upstream: `make bench`."""
