"""The real kubectl, for the kustomize that is in it: from a wheel, unpacked once for all runs. It needs no cluster."""

import fcntl
import os
import platform
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import yaml

from tests.support.environments import environment

Manifest = dict[str, Any]


def executable() -> Path:
    """Where kubectl is; unpacked first where it is missing. AssertionError where it cannot be.

    The variable KUBECTL names another one, for machines that the wheel is not made for.
    """
    if own := os.environ.get("KUBECTL"):
        return Path(own)
    machine = (platform.system(), platform.machine())
    assert machine == ("Linux", "x86_64"), (
        f"the wheel with kubectl is made for Linux on x86-64, and this is {' on '.join(machine)}:"
        " set KUBECTL to the path of one, or leave out tests/deploy/k8s."
    )
    with environment("kubectl") as directory:
        kubectl = directory / "bin" / "kubectl"
        # What is being made has another name, so it is whole when it is there.
        with (directory / ".unpacking").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kubectl.exists():
                _unpack(directory, kubectl)
        return kubectl


def render(directory: Path) -> list[Manifest]:
    """The manifests that a kustomization makes. AssertionError with kubectl's own words where it makes none."""
    done = subprocess.run(
        [executable(), "kustomize", directory],
        # It is gone before it needs to look for memory to free.
        env={**os.environ, "GOGC": "off"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # A warning, as of a field that is going out of use, is an error here as elsewhere.
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return [manifest for manifest in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if manifest]


def _unpack(directory: Path, kubectl: Path) -> None:
    """A program in an archive of the layer of a cloud's functions in an archive for Node.js in a wheel for Python."""
    (found,) = directory.rglob("lambda-layer-kubectl-*.jsii.tgz")
    with tarfile.open(found) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(layer) as files:
            part = kubectl.with_name("kubectl.part")
            part.write_bytes(files.read("kubectl/kubectl"))
    part.chmod(0o755)
    part.replace(kubectl)
