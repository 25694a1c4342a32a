"""Manifests for Kubernetes, and the one program that belongs to them."""
