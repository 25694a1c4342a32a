"""Prints the OpenAPI document, for generators: `python -m edge.openapi.export`. Needs no service, setting or secret."""

import json
import sys
from typing import cast

from edge.app import Edge
from edge.dashboard import Dashboard
from edge.deps import Deps
from edge.limits.rates import Rates
from edge.v1.callers import Callers
from edge.v1.quote import QuoteParts
from edge.v1.routers import v1_routers


def exported() -> dict[str, object]:
    """The document that a running edge gives at `/api/openapi.json`.

    Routes describe themselves by their signatures, so nothing is built of what they work with.
    """
    v1 = v1_routers(quotes=cast(QuoteParts, None), callers=cast(Callers, None), rates=cast(Rates, None))
    return Edge(cast(Deps, None), raw={}, v1=v1, pages=Dashboard({})).openapi()


if __name__ == "__main__":
    json.dump(exported(), sys.stdout, indent=1)
    sys.stdout.write("\n")
