"""deploy/Dockerfile: what a linter and a careful reader would find, and that it copies what is there."""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

from tests.support import compose, image

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "deploy/Dockerfile").read_text()
IGNORED = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]


STAGES = image.stages()
INSTRUCTIONS = [instruction for stage in STAGES for instruction in stage]
LAST = dict(STAGES[-1])


def is_ignored(path: str) -> bool:
    """Whether a file is kept from the builder, by the last rule of .dockerignore that matches."""
    ignored = False
    for line in IGNORED:
        pattern = line.removeprefix("!")
        tops = [path, *(str(parent) for parent in Path(path).parents)]
        if any(fnmatch.fnmatch(top, pattern.removeprefix("**/")) for top in tops) or (
            pattern.startswith("**/") and any(fnmatch.fnmatch(part, pattern[3:]) for part in Path(path).parts)
        ):
            ignored = not line.startswith("!")
    return ignored


def tracked() -> list[str]:
    """The files that a clone has."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


def copied() -> list[str]:
    """What is copied from the repository, by all stages."""
    return [source for stage in STAGES for source, _ in image.copied(stage)]


def test_the_linter_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, "deploy/Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_everything_that_is_copied_is_there_and_reaches_the_builder() -> None:
    assert len(copied()) > 10
    for source in copied():
        files = [file for file in tracked() if file == source or file.startswith(source.rstrip("/") + "/")]
        if source.endswith("/"):
            files = [file for file in files if not is_ignored(file)]
        assert files, source
        assert not any(is_ignored(file) for file in files), source


def test_nothing_else_reaches_the_builder() -> None:
    sent = {file for file in tracked() if not is_ignored(file)}
    unused = {
        file
        for file in sent
        if not any(file == source or file.startswith(source.rstrip("/") + "/") for source in copied())
    }
    assert unused == set()
    for private in (".env", ".git/config", ".local/secrets.env", ".venv/bin/python", "tests/conftest.py"):
        assert is_ignored(private)
    for made in ("dashboard/node_modules/vite/index.js", "dashboard/dist/index.html", "kit/__pycache__/dsn.pyc"):
        assert is_ignored(made)


def test_base_images_are_pinned_by_tag_and_can_be_by_digest() -> None:
    arguments = dict(arguments.split("=", 1) for name, arguments in INSTRUCTIONS if name == "ARG" and "=" in arguments)
    bases = [arguments.split()[0] for name, arguments in INSTRUCTIONS if name == "FROM"]
    assert len(bases) == 3
    for base in bases:
        image, digest = re.findall(r"\$\{(\w+)\}", base)
        assert re.fullmatch(r"[a-z]+:\d[\w.-]+", arguments[image])
        assert "latest" not in arguments[image]
        assert arguments[digest] == ""


def test_packages_are_installed_by_hash_and_nothing_else_is() -> None:
    installs = re.findall(r"pip --python \S+ install ([^&]+)", " ".join(arguments for _, arguments in INSTRUCTIONS))
    assert len(installs) == 3
    for arguments in installs:
        assert "--no-deps" in arguments
        assert "--require-hashes" in arguments or "--no-index" in arguments
    assert "npm ci --ignore-scripts" in TEXT


def test_what_runs_has_no_tools_and_no_rights() -> None:
    last = STAGES[-1]
    assert LAST["USER"] == "10001:10001"
    assert [name for name, _ in last].index("USER") > max(
        n for n, (name, _) in enumerate(last) if name in ("RUN", "COPY")
    )
    run = " ".join(arguments for name, arguments in last if name == "RUN")
    assert "pip uninstall" in run
    assert not re.search(r"\b(apt|apt-get|apk|curl|wget|gcc|make|npm|git)\b", run)
    assert not re.search(r"pip install", run)
    # The environments of the builder's tools stay behind.
    assert {arguments.split()[1] for name, arguments in last if name == "COPY"} == {
        "/opt/venv",
        "/app",
        "/sbom",
        "/build/privaterouter-dashboard/dist",
    }


def test_signals_reach_python_itself() -> None:
    assert LAST["CMD"] == '["python", "-m", "edge"]'
    assert LAST["STOPSIGNAL"] == "SIGTERM"
    assert "ENTRYPOINT" not in LAST


def test_the_health_check_is_that_of_the_edge_in_containers() -> None:
    command = LAST["HEALTHCHECK"].partition("CMD ")[2]
    api = compose.rendered()["services"]["api"]["healthcheck"]["test"]
    assert command == "[" + ", ".join(f'"{part}"' for part in api[1:]) + "]"
    assert LAST["EXPOSE"] == "8000 3000"


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]*)"', LAST["LABEL"]))
    assert set(labels) == {"title", "description", "licenses", "version", "revision", "created"}
    project = (ROOT / "pyproject.toml").read_text()
    assert f'description = "{labels["description"]}"' in project
    assert f'license = "{labels["licenses"]}"' in project
    assert "/sbom/python.cdx.json" in TEXT
    assert "/sbom/dashboard.cdx.json" in TEXT


def test_volumes_are_mounted_where_the_image_has_a_directory_of_its_user() -> None:
    """A new volume takes its owner from there."""
    run = " ".join(arguments for name, arguments in STAGES[-1] if name == "RUN")
    made = set()
    for names, place in re.findall(
        r'for \w+ in ([a-z. ]+);[^"]+install -d -o 10001 -g 10001 -m 07[05][05] "(\S+)/\$\{\w+\}"', run
    ):
        made |= {f"{place}/{name}".removesuffix("/.") for name in names.split()}
    made |= set(re.findall(r"install -d -o 10001 -g 10001 -m 0700 /var/lib/privaterouter (\S+/journal)", run))
    mounted = {
        volume["target"]
        for service in compose.rendered("*")["services"].values()
        for volume in service.get("volumes", ())
        if volume["type"] == "volume" and not volume.get("read_only")
        if service["image"] == "privaterouter:local"
    }
    assert made == mounted
