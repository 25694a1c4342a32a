"""Alembic's script location: env.py and the template of a revision."""
