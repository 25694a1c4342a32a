"""Database addresses: who connects as whom. Apart from migrations.py, which takes a second to import."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from kit.secrets import derive


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
