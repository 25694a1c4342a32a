"""How PrivateRouter is run: the embedded stack, images and manifests."""
