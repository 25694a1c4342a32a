"""Has checkov look at what is deployed: the rendered overlays and the Dockerfile. `make audit`.

It is no part of the tests: it brings more than a hundred packages. They come from a lock of their own.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from tests.support import kubectl
from tests.support.environments import environment

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("checkov.yaml")


def main() -> int:
    """Exit status 0 where nothing is found but what the configuration explains."""
    failed = False
    with environment("audit") as directory, tempfile.TemporaryDirectory() as rendered:
        overlays = sorted((ROOT / "deploy" / "k8s" / "overlays").iterdir())
        for overlay in overlays:
            manifests = kubectl.render(overlay)
            (Path(rendered) / f"{overlay.name}.yaml").write_text(yaml.safe_dump_all(manifests))
        looks = [("kubernetes", ("-d", rendered)), ("dockerfile", ("-f", str(ROOT / "deploy" / "Dockerfile")))]
        for framework, where in looks:
            if framework == "dockerfile" and not Path(where[1]).exists():
                continue
            sys.stderr.write(f"==> checkov: {framework}\n")
            command = (directory / "bin" / "checkov", "--config-file", CONFIG, "--framework", framework, *where)
            failed |= subprocess.run(command, cwd=directory, check=False).returncode != 0
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
