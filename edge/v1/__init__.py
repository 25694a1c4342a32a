"""The OpenAI-shaped API: inference, and the list of models."""
