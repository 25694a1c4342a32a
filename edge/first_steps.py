"""The page at `/`: how to get from nothing to a first answer, on either port."""

import base64
import hashlib
import re
from html import escape

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from edge.deps import With

STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fdfdfc }
h1, h2 { line-height: 1.2 }
h2 { margin-top: 2rem; font-size: 1.15rem }
pre { background: #f1f0ec; padding: .8rem 1rem; overflow-x: auto; border-radius: 6px; font-size: .85rem }
@media (prefers-color-scheme: dark) {
  body { color: #e8e6e3; background: #181818 } pre { background: #262626 } a { color: #8ab4f8 }
}
"""
STEPS = (
    (
        "Sign up",
        """TOKEN=$(curl -sS -X POST {base}/api/auth/signup -H 'Content-Type: application/json' \\
  -d '{{"email": "alice@example.com", "password": "correct-horse-battery-staple"}}' \\
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')""",
    ),
    (
        "Top up credits (no card is charged)",
        """curl -sS -X POST {base}/api/billing/topup -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' -d '{{"amount_usd": 10}}'""",
    ),
    (
        "Create an API key",
        """PR_KEY=$(curl -sS -X POST {base}/api/keys -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' -d '{{"name": "laptop"}}' \\
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["key"])')""",
    ),
    (
        "Ask a model",
        """curl -sS {base}/v1/chat/completions -H "Authorization: Bearer $PR_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "privaterouter/fast", "messages": [{{"role": "user", "content": "Say hi in five words."}}]}}'""",
    ),
    (
        "See what it cost",
        """curl -sS {base}/api/usage -H "Authorization: Bearer $TOKEN"
curl -sS {base}/api/billing/balance -H "Authorization: Bearer $TOKEN\"""",
    ),
)
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]")

router = APIRouter()


@router.get("/", include_in_schema=False)
async def first_steps(request: Request, deps: With) -> HTMLResponse:
    """The page, with commands that fit the address it was asked at."""
    host = re.sub(r":[0-9]+$", "", request.headers.get("host", ""))
    known = host if _HOST.fullmatch(host) else "localhost"
    return page("PrivateRouter", body(f"{request.url.scheme}://{known}:{deps.settings.edge_port}"))


def body(base: str) -> str:
    """The page's body for an API at `base`."""
    steps = "".join(
        f"<h2>{number}. {escape(title)}</h2><pre>{escape(command.format(base=base))}</pre>"
        for number, (title, command) in enumerate(STEPS, start=1)
    )
    return (
        "<h1>PrivateRouter</h1><p>An OpenAI-compatible API with accounts, prepaid credits and exact billing. "
        f"From nothing to a first answer:</p>{steps}"
        f"<p>Any OpenAI SDK works with <code>base_url={escape(base)}/v1</code> and that key. "
        '<a href="/api/docs">All endpoints</a>.</p>'
    )


def page(title: str, content: str, *, style: str = STYLE) -> HTMLResponse:
    """A page without scripts, which may use its own style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{content}</body></html>"
    )
    return HTMLResponse(html, headers={"content-security-policy": policy})
