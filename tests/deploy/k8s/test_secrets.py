"""The Secrets that are made beside the manifests: each process starts with its own, and has no other."""

import base64
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy.k8s import make_secrets
from deploy.k8s.make_secrets import Known, Refused, make, service_url
from kit import dsn
from tests.deploy.k8s.code import OURS, SERVICES, is_ours, is_secret, settings_of
from tests.deploy.k8s.conftest import OVERLAYS, Rendering
from tests.support import kubectl, pages
from tests.support.manifests import Manifest, Workload, mounts

PROGRAM = Path(make_secrets.__file__)
NOWHERE = Path("/nonexistent")
OWN = {
    "DATABASE_URL": "postgresql://owner:o%40w@db.example.com:6432/router?sslmode=require&user=x",
    "REDIS_URL": "rediss://:pw@redis.example.com:6380/1",
    "UPSTREAM_API_KEY": "sk-upstream",
}


def run(into: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The program as a person runs it, with no package of ours in reach."""
    return subprocess.run(
        [sys.executable, "-I", PROGRAM, "--into", into, *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def written(directory: Path) -> dict[str, dict[str, str]]:
    """Secret -> key -> value of what is in the files."""
    return {
        secret.name: {file.name: file.read_text() for file in secret.iterdir()}
        for secret in directory.iterdir()
        if secret.is_dir()
    }


def secret_of(workload: Workload, container: Manifest, made: Path) -> Path | None:
    """The directory of the Secret that a container has at SECRETS_DIR, if it has one."""
    at = dict(mounts(workload, container)).get("/run/privaterouter/secrets")
    return made / at["secret"]["secretName"] if at else None


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the program writes for the overlay for production."""
    into = tmp_path_factory.mktemp("secrets") / "made"
    done = run(into, "--litellm")
    assert done.returncode == 0, done.stderr
    return into


@pytest.mark.parametrize("url", [OWN["DATABASE_URL"], "postgres://a@h/d", "postgresql://o:p@postgres-rw:5432/d?a=%2Fb"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_gets_the_address_that_the_migrations_make_a_role_for(url: str, service: str) -> None:
    assert service_url(url, service, "s" * 40) == dsn.service_url(url, service, "s" * 40)


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_process_starts_with_its_settings_and_its_secret(
    overlay: Rendering, made: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = overlay(name)
    started = set()
    for workload in manifests.workloads():
        for container in filter(is_ours, workload.containers):
            told = manifests.environment(container)
            secret = secret_of(workload, container, made)
            # The files of a certificate are looked at as well, and there are none here.
            variables = {name: text for name, text in told.items() if name != "TLS_DIR"}
            variables |= {"SECRETS_DIR": str(secret)} if secret else {}
            with monkeypatch.context() as patch:
                for variable in tuple(os.environ):
                    patch.delenv(variable)
                for variable, text in variables.items():
                    patch.setenv(variable, text)
                settings_of(container)(_env_file=None)
            assert (secret is not None) == ("SECRETS_DIR" in told)
            started.add(workload.name)
    assert started == {*OURS, "migrate", "operator", "reconcile"}


def test_no_process_has_a_secret_that_it_does_not_read(overlay: Rendering, made: Path) -> None:
    values = written(made)
    for workload in overlay("production").workloads():
        for container in filter(is_ours, workload.containers):
            if secret := secret_of(workload, container, made):
                fields = settings_of(container).model_fields
                assert values[secret.name].keys() <= {field for field in fields if is_secret(field)}, secret
    assert values["billing"].keys() == {"billing_database_url", "redis_url"}
    assert values["edge"].keys() == {"jwt_secret", "redis_url"}


def test_the_authority_of_the_database_is_where_its_address_says(overlay: Rendering, made: Path) -> None:
    looked = []
    for workload in overlay("production").workloads():
        for container in filter(is_ours, workload.containers):
            secret = secret_of(workload, container, made)
            for file in secret.glob("*database_url") if secret else ():
                (where,) = parse_qs(urlsplit(file.read_text()).query)["sslrootcert"]
                volume = dict(mounts(workload, container))[str(Path(where).parent)]
                assert volume["secret"]["secretName"] == "postgres-ca"
                assert volume["secret"]["items"] == [{"key": "ca.crt", "path": Path(where).name}]
                looked.append(file.name)
    assert len(looked) == len(SERVICES) + 2


def test_a_second_run_changes_nothing(made: Path) -> None:
    before = written(made)
    assert run(made, "--litellm").returncode == 0
    assert written(made) == before


def test_own_servers_win_and_are_remembered(tmp_path: Path) -> None:
    assert run(tmp_path, **OWN).returncode == 0
    found = written(tmp_path)
    assert found.keys() == {*OURS, "migrate", "seed"}
    assert found["migrate"]["database_url"] == OWN["DATABASE_URL"]
    assert {found[name]["redis_url"] for name in ("edge", "auth", "catalog", "billing", "seed")} == {OWN["REDIS_URL"]}
    assert found["seed"]["upstream_api_key"] == "sk-upstream"
    assert found["usage"]["usage_database_url"].endswith("@db.example.com:6432/router?sslmode=require")
    assert run(tmp_path).returncode == 0
    assert written(tmp_path) == found


def test_nobody_else_may_read_them_and_git_does_not_see_them(made: Path) -> None:
    assert {file.stat().st_mode & 0o777 for file in made.rglob("*/*")} == {0o600}
    assert {each.stat().st_mode & 0o777 for each in (made, *made.iterdir()) if each.is_dir()} == {0o700}
    ignored = subprocess.run(["git", "check-ignore", "-q", make_secrets.DIRECTORY / "edge" / "jwt_secret"], check=False)
    assert ignored.returncode == 0


def test_no_value_is_printed(made: Path) -> None:
    done = run(made, "--litellm")
    assert not any(
        value in done.stdout + done.stderr
        for values in written(made).values()
        for value in values.values()
        if len(value) > 20
    )


def test_valkey_knows_the_hash_of_the_password_only(made: Path) -> None:
    values = written(made)
    password = values["edge"]["redis_url"].removeprefix("redis://:").partition("@")[0]
    assert len(password) == 64
    assert password not in values["valkey"]["users.acl"]
    assert values["valkey"]["users.acl"].startswith("user default on #")


def test_kubectl_makes_secrets_of_the_files(made: Path) -> None:
    rendered = kubectl.render(made)
    assert {each["kind"] for each in rendered} == {"Secret"}
    assert {each["metadata"]["namespace"] for each in rendered} == {"privaterouter"}
    found = {
        each["metadata"]["name"]: {key: base64.b64decode(text).decode() for key, text in each["data"].items()}
        for each in rendered
    }
    assert found == written(made)
    types = {each["metadata"]["name"]: each["type"] for each in rendered}
    assert types["postgres-owner"] == types["postgres-litellm"] == "kubernetes.io/basic-auth"


def test_a_providers_key_that_was_put_there_stays(made: Path, tmp_path: Path) -> None:
    assert run(tmp_path, "--litellm").returncode == 0
    (tmp_path / "litellm" / "ANTHROPIC_API_KEY").write_text("sk-ant")
    assert run(tmp_path, "--litellm").returncode == 0
    (secret,) = (each for each in kubectl.render(tmp_path) if each["metadata"]["name"] == "litellm")
    assert base64.b64decode(secret["data"]["ANTHROPIC_API_KEY"]) == b"sk-ant"


@pytest.mark.parametrize(
    "given, named",
    [({"DATABASE_URL": "mysql://db"}, "DATABASE_URL"), ({"REDIS_URL": "valkey:6379"}, "REDIS_URL")],
)
def test_what_is_no_address_is_refused_by_name(given: Mapping[str, str], named: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=named):
        make(Known(NOWHERE, given), litellm=False)
    done = run(tmp_path / "none", **given)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(named)
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()


def test_the_page_lists_every_secret_and_key(made: Path) -> None:
    rows = pages.table(pages.read("docs/kubernetes.md"), "Secret", "Keys", "Of whom")
    assert {row["Secret"]: set(row["Keys"].replace("`", "").split(", ")) for row in rows} == {
        secret: set(values) for secret, values in written(made).items()
    }
