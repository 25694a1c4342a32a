"""Makes the alert rules a manifest of the Prometheus operator: `make alerts`, after a change of them.

The operator wants in one manifest what Prometheus itself reads from files, and kustomize cannot put it there.
"""

from pathlib import Path
from typing import Final

DEPLOY: Final = Path(__file__).parents[1]
RULES: Final = DEPLOY / "monitoring" / "prometheus" / "rules"
MANIFEST: Final = DEPLOY / "k8s" / "components" / "monitoring" / "rules.yaml"
HEADER: Final = """\
# Made by `make alerts` of the files in deploy/monitoring/prometheus/rules: change those.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: privaterouter
spec:
  groups:
"""


def manifest() -> str:
    """The manifest, with the groups of all files as they are written there."""
    return HEADER + "".join(groups(file.read_text()) for file in sorted(RULES.glob("*.yml")))


def groups(text: str) -> str:
    """What a file lists under `groups`, further in."""
    listed = text.partition("groups:\n")[2].splitlines()
    return "".join(f"  {line}\n" if line else "\n" for line in listed)


if __name__ == "__main__":
    MANIFEST.write_text(manifest())
