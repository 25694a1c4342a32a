"""A service that exists only for a test, with two migrations and a partitioned table."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import services

NAME = "sample"
TABLES = """
from sqlalchemy import BigInteger, Column, MetaData, Table, Text, text

metadata = MetaData(schema="sample")
things = Table(
    "things", metadata,
    Column("id", BigInteger, primary_key=True),
    Column("name", Text, nullable=False, server_default=text("'none'::text")),
)
events = Table(
    "events", metadata, Column("at", BigInteger, primary_key=True), postgresql_partition_by="RANGE (at)"
)
"""
FIRST = """
from kit.migrations import run_script

revision = "1"
down_revision = None

def upgrade():
    run_script(\"\"\"
        CREATE TABLE sample.things (id bigint PRIMARY KEY, name text NOT NULL DEFAULT 'none');
        GRANT SELECT, INSERT, UPDATE ON sample.things TO privaterouter_sample;
        GRANT SELECT ON sample.alembic_version TO privaterouter_sample;
    \"\"\")
"""
SECOND = """
from kit.migrations import run_script

revision = "2"
down_revision = "1"

def upgrade():
    run_script(\"\"\"
        CREATE TABLE sample.events (at bigint PRIMARY KEY) PARTITION BY RANGE (at);
        CREATE TABLE sample.events_0 PARTITION OF sample.events FOR VALUES FROM (0) TO (10);
    \"\"\")
"""


@contextmanager
def installed(directory: Path) -> Iterator[Path]:
    """Makes `services.sample` importable from a directory; yields its folder."""
    home = directory / NAME
    versions = home / "migrations" / "versions"
    versions.mkdir(parents=True)
    (home / "__init__.py").touch()
    (home / "tables.py").write_text(dedent(TABLES))
    (versions / "20260101_things.py").write_text(dedent(FIRST))
    (versions / "20260102_events.py").write_text(dedent(SECOND))
    services.__path__.append(str(directory))
    try:
        yield home
    finally:
        services.__path__.remove(str(directory))
        for module in [m for m in sys.modules if m.startswith(f"services.{NAME}")]:
            del sys.modules[module]
