"""Makes the Secrets that deploy/k8s needs: `python3 deploy/k8s/make_secrets.py --help`.

It writes files and a kustomization over them into deploy/k8s/secrets, which git ignores; `kubectl apply -k` makes
Secrets of them. Each process gets what it reads and nothing else. What is there already is kept, so that it may run
again at any time. It needs Python and nothing else: nothing of ours is imported.
"""

import argparse
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

DIRECTORY: Final = Path(__file__).parent / "secrets"
SERVICES: Final = ("auth", "catalog", "billing", "usage")
VERIFIED: Final = "sslmode=verify-full&sslrootcert=/run/privaterouter/postgres/ca.crt"
"""Where the component cloudnative-pg mounts its authority."""
HEADER: Final = """\
# Made by make_secrets.py. A value is changed by deleting its file, or giving it anew, and running that again.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: {namespace}
labels:
  - pairs:
      app.kubernetes.io/part-of: privaterouter
generatorOptions:
  disableNameSuffixHash: true
secretGenerator:
"""

Secrets = dict[str, dict[str, str]]


class Refused(Exception):
    """What was given cannot be used; the message says why."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Makes the Secrets of PrivateRouter on Kubernetes. Addresses and keys of your own come from the "
        "environment: DATABASE_URL, REDIS_URL, UPSTREAM_API_KEY, LITELLM_MASTER_KEY, LITELLM_DATABASE_URL, "
        "APP_SECRET_KEY, JWT_SECRET. What is neither there nor known from an earlier run is generated, for the "
        "PostgreSQL and the Valkey of the components.",
    )
    parser.add_argument("--litellm", action="store_true", help="models are served through LiteLLM")
    parser.add_argument("--namespace", default="privaterouter")
    parser.add_argument("--into", type=Path, default=DIRECTORY, metavar="DIRECTORY")
    return parser.parse_args()


class Known:
    """Values by the Secret and key that they stand in first: given, kept from an earlier run, or made now."""

    def __init__(self, directory: Path, given: Mapping[str, str]) -> None:
        self._directory = directory
        self._given = given

    def kept(self, secret: str, key: str) -> str:
        """What an earlier run wrote, or nothing."""
        file = self._directory / secret / key
        return file.read_text() if file.exists() else ""

    def value(self, secret: str, key: str, *, variable: str = "", prefix: str = "") -> str:
        """A secret of 256 bits, unless there is one."""
        return self._given.get(variable, "") or self.kept(secret, key) or prefix + secrets.token_hex(32)

    def given(self, variable: str) -> str:
        """A variable of the environment, or nothing."""
        return self._given.get(variable, "")


def make(known: Known, *, litellm: bool) -> Secrets:
    """Secret -> key -> value. Refused where an address is no address."""
    app_secret = known.value("migrate", "app_secret_key", variable="APP_SECRET_KEY")
    found: Secrets = {"edge": {"jwt_secret": known.value("edge", "jwt_secret", variable="JWT_SECRET")}}
    database_url = known.given("DATABASE_URL") or external(known, "migrate", "database_url", inside="@postgres-rw:")
    if not database_url:
        password = known.value("postgres-owner", "password")
        database_url = f"postgresql://privaterouter:{password}@postgres-rw:5432/privaterouter?{VERIFIED}"
        found["postgres-owner"] = {"username": "privaterouter", "password": password}
    redis_url = known.given("REDIS_URL") or external(known, "edge", "redis_url", inside="@valkey:")
    if not redis_url:
        password = known.kept("edge", "redis_url").partition("://:")[2].partition("@")[0] or secrets.token_hex(32)
        redis_url = f"redis://:{password}@valkey:6379/0"
        digest = hashlib.sha256(password.encode()).hexdigest()
        found["valkey"] = {"users.acl": f"user default on #{digest} ~* &* +@all\n"}
    if not database_url.startswith(("postgresql://", "postgres://")):
        raise Refused("DATABASE_URL must look like postgresql://owner:password@host:5432/privaterouter")
    if not redis_url.startswith(("redis://", "rediss://")):
        raise Refused("REDIS_URL must look like redis://:password@host:6379/0")

    found["migrate"] = {"database_url": database_url, "app_secret_key": app_secret}
    for service in SERVICES:
        found[service] = {f"{service}_database_url": service_url(database_url, service, app_secret)}
    # Billing needs no key of its own: it keeps nothing sealed.
    for name in ("auth", "catalog", "usage"):
        found[name]["app_secret_key"] = app_secret
    found["seed"] = dict(found["catalog"])
    for name in ("edge", "auth", "catalog", "billing", "seed"):
        found[name]["redis_url"] = redis_url
    upstream_key = known.given("UPSTREAM_API_KEY") or known.kept("seed", "upstream_api_key")
    if litellm:
        found |= for_litellm(known, own_postgres="postgres-owner" in found)
        upstream_key = found["litellm"]["LITELLM_MASTER_KEY"]
        found["auth"]["litellm_master_key"] = upstream_key
    if upstream_key:
        found["seed"]["upstream_api_key"] = upstream_key
    return found


def for_litellm(known: Known, *, own_postgres: bool) -> Secrets:
    """LiteLLM's own: nothing of ours is in there. Providers' keys that were added to its directory stay."""
    own = {
        "LITELLM_MASTER_KEY": known.value("litellm", "LITELLM_MASTER_KEY", variable="LITELLM_MASTER_KEY", prefix="sk-"),
        "LITELLM_SALT_KEY": known.value("litellm", "LITELLM_SALT_KEY"),
    }
    found: Secrets = {"litellm": own}
    database_url = known.given("LITELLM_DATABASE_URL") or external(
        known, "litellm", "DATABASE_URL", inside="@postgres-rw:"
    )
    if not database_url and own_postgres:
        password = known.value("postgres-litellm", "password")
        database_url = f"postgresql://litellm:{password}@postgres-rw:5432/litellm?sslmode=require"
        found["postgres-litellm"] = {"username": "litellm", "password": password}
    if database_url:
        own["DATABASE_URL"] = database_url
    return found


def external(known: Known, secret: str, key: str, *, inside: str) -> str:
    """The address of an earlier run, if it leads to a server of your own."""
    kept = known.kept(secret, key)
    return "" if inside in kept else kept


def service_url(owner_url: str, service: str, app_secret: str) -> str:
    """The service's own address on the owner's server: kit/dsn.py without its imports, and a test compares them."""
    parts = urlsplit(owner_url)
    password = hmac.digest(app_secret.encode(), f"database:{service}".encode(), hashlib.sha256).hex()
    server = parts.netloc.rpartition("@")[2]
    query = [pair for pair in parse_qsl(parts.query) if pair[0] not in ("user", "password")]
    user = f"privaterouter_{service}:{password}"
    return urlunsplit(("postgresql", f"{user}@{server}", parts.path, urlencode(query, quote_via=quote, safe="/"), ""))


def write(directory: Path, found: Secrets, *, namespace: str) -> None:
    """The files, which nobody else may read, and the kustomization that names all of them."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for secret, values in found.items():
        (directory / secret).mkdir(mode=0o700, exist_ok=True)
        for key, value in values.items():
            file = directory / secret / key
            file.touch(mode=0o600)
            file.write_text(value)
    (directory / "kustomization.yaml").write_text(
        HEADER.format(namespace=namespace) + "".join(listed(directory, secret) for secret in sorted(found))
    )


def listed(directory: Path, secret: str) -> str:
    """One entry of the generator. Files that were put beside ours are listed as well."""
    files = sorted(file.name for file in (directory / secret).iterdir())
    lines = [f"  - name: {secret}", "    files:", *(f"      - {secret}/{name}" for name in files)]
    if secret.startswith("postgres-"):
        # What the operator of the database wants; the label has it follow a changed password.
        lines += ["    type: kubernetes.io/basic-auth", "    options:", '      labels: {cnpg.io/reload: "true"}']
    return "\n".join(lines) + "\n"


def main() -> int:
    """Exit status 0, or 2 with one line on stderr."""
    given = arguments()
    try:
        found = make(Known(given.into, os.environ), litellm=given.litellm)
    except Refused as error:
        sys.stderr.write(f"{error}\n")
        return 2
    write(given.into, found, namespace=given.namespace)
    print(f"{len(found)} Secrets, to be applied by: kubectl apply -k {given.into}")
    print(f"Keep {given.into} as safe as they are: without APP_SECRET_KEY (in migrate/) no API key works any more.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
