"""Database addresses: who connects as whom. Apart from migrations.py, which takes a second to import."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kit.secrets import derive

_PORTS = {"postgresql": 5432, "postgres": 5432, "postgresql+asyncpg": 5432, "redis": 6379, "rediss": 6379}


def role_of(service: str) -> str:
    """Name of the role that a service connects as."""
    return f"privaterouter_{service}"


def service_password(service: str, app_secret: str) -> str:
    """The password of that role, derived, so that nobody has to keep one for each service."""
    return derive(app_secret, f"database:{service}").hex()


def service_url(migrator_url: str, service: str, app_secret: str) -> str:
    """The service's DSN on the migrator's server and database."""
    parts = urlsplit(migrator_url)
    server = parts.netloc.rpartition("@")[2]
    user = f"{role_of(service)}:{service_password(service, app_secret)}"
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in ("user", "password")]
    return urlunsplit(("postgresql", f"{user}@{server}", parts.path, urlencode(query, quote_via=quote, safe="/"), ""))


def place(url: str) -> str:
    """Where an address of Postgres or Valkey leads, for people: `host:port` or a socket's path; never a password."""
    parts = urlsplit(url)
    if parts.scheme not in (*_PORTS, "unix"):
        return "an address that makes no sense"
    server = parts.netloc.rpartition("@")[2]
    if not server:
        return dict(parse_qsl(parts.query)).get("host") or parts.path
    return server if ":" in server.rpartition("]")[2] else f"{server}:{_PORTS.get(parts.scheme, '')}"
