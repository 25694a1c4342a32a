"""Users, sessions and API keys: who may use the service, and with which secret."""
