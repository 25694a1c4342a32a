"""The HTTP edge: OpenAI-shaped `/v1` and the `/api` of the dashboard, in front of the four services."""
