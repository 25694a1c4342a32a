"""What both ends of a gRPC call agree on."""

REQUEST_ID_KEY = "x-request-id"
"""Metadata key of the id that follows a request through every process."""

ERROR_KEY = "grpc-status-details-bin"
"""Trailing metadata key of the packed `google.rpc.Status`."""

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Enough for the largest batch (5,000 usage records) several times over."""
