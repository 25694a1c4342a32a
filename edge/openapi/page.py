"""The API reference as one page without scripts, made from the OpenAPI document."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import cast

from fastapi.responses import HTMLResponse

Json = Mapping[str, object]

STYLE = """
body { font: 16px/1.6 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem;
       color: #1a1a1a; background: #fdfdfc }
h1, h2 { line-height: 1.2 }
h2 { margin-top: 2rem; font-size: 1.15rem }
pre { background: #f1f0ec; padding: .8rem 1rem; overflow-x: auto; border-radius: 6px; font-size: .85rem }
details { border-top: 1px solid #8884; padding: .4rem 0 } summary { cursor: pointer }
summary b { display: inline-block; min-width: 4.2rem } table { border-collapse: collapse; font-size: .9rem }
td, th { border: 1px solid #8884; padding: .15rem .5rem; text-align: left }
@media (prefers-color-scheme: dark) {
  body { color: #e8e6e3; background: #181818 } pre { background: #262626 } a { color: #8ab4f8 }
}
"""
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""The page may use its own style sheet and nothing else."""


def reference(document: Json) -> HTMLResponse:
    """The whole page."""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>PrivateRouter API</title><style>{STYLE}</style></head><body>{_body(document)}</body></html>"
    )
    return HTMLResponse(html, headers={"content-security-policy": POLICY})


def _body(document: Json) -> str:
    paths = cast(Mapping[str, Mapping[str, Json]], document["paths"])
    sections: dict[str, list[str]] = {}
    for path, item in paths.items():
        for method, operation in item.items():
            tag = cast(list[str], operation.get("tags") or ["Other"])[0].capitalize()
            sections.setdefault(tag, []).append(_operation(document, method, path, operation))
    order = sorted(sections, key=lambda tag: (tag not in ("Inference", "Models"), tag))
    body = "".join(f"<h2>{escape(tag)}</h2>{''.join(sections[tag])}" for tag in order)
    info = cast(Mapping[str, str], document["info"])
    return (
        f"<h1>{escape(info['title'])} API</h1>{_markdown(info['description'])}"
        f'<p>The same for programs: <a href="/api/openapi.json">openapi.json</a>.</p>{body}'
    )


def _operation(document: Json, method: str, path: str, operation: Json) -> str:
    parts = [f"<p>{escape(cast(str, operation.get('description') or operation.get('summary') or ''))}</p>"]
    security = cast(list[Json], operation.get("security") or [])
    who = " or ".join(escape(name) for entry in security for name in entry) or "anybody"
    parts.append(f"<p>Called with: {who}</p>")
    parameters = cast(list[Json], operation.get("parameters") or [])
    if parameters:
        rows = "".join(
            f"<tr><td>{escape(str(each['name']))}</td><td>{escape(str(each['in']))}</td>"
            f"<td>{escape(str(each.get('description') or ''))}</td></tr>"
            for each in parameters
        )
        parts.append(f"<table><tr><th>parameter</th><th>in</th><th></th></tr>{rows}</table>")
    for title, content in _contents(operation):
        parts.extend(_content(document, title, content))
    summary = escape(cast(str, operation.get("summary") or ""))
    head = f"<summary><b>{method.upper()}</b> <code>{escape(path)}</code> {summary}</summary>"
    return f"<details>{head}{''.join(parts)}</details>"


def _contents(operation: Json) -> Iterator[tuple[str, Json]]:
    body = cast(Json, operation.get("requestBody") or {})
    yield "Request", cast(Json, body.get("content") or {})
    for status, response in cast(Mapping[str, Json], operation["responses"]).items():
        if status.startswith("2"):
            yield f"Answer {status}", cast(Json, response.get("content") or {})


def _content(document: Json, title: str, content: Json) -> Iterator[str]:
    for kind, media in content.items():
        media = cast(Json, media)
        schema = cast(Json, media.get("schema") or {})
        fields = _fields(document, schema)
        yield f"<h3>{escape(title)} <small>{escape(kind)}</small></h3>"
        if fields:
            yield f"<table>{fields}</table>"
        for example in _examples(document, media, schema):
            text = example if isinstance(example, str) else json.dumps(example, indent=2)
            yield f"<pre>{escape(text)}</pre>"


def _examples(document: Json, media: Json, schema: Json) -> Iterator[object]:
    if "example" in media:
        yield media["example"]
    for named in cast(Mapping[str, Json], media.get("examples") or {}).values():
        yield named["value"]
    yield from cast(list[object], _resolve(document, schema).get("examples") or [])


def _fields(document: Json, schema: Json) -> str:
    resolved = _resolve(document, schema)
    properties = cast(Mapping[str, Json], resolved.get("properties") or {})
    required = cast(list[str], resolved.get("required") or [])
    return "".join(
        f"<tr><td>{escape(name)}{'' if name in required else '?'}</td><td>{escape(_type(document, each))}</td>"
        f"<td>{escape(str(each.get('description') or ''))}</td></tr>"
        for name, each in properties.items()
    )


def _type(document: Json, schema: Json) -> str:
    if "$ref" in schema:
        return cast(str, schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_type(document, each) for each in cast(list[Json], schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(str(value) for value in cast(list[object], schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(document, cast(Json, schema.get('items') or {}))}"
    return str(schema.get("format") or schema.get("type") or schema.get("const") or "any")


def _resolve(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    components = cast(Mapping[str, Mapping[str, Json]], document["components"])
    return components["schemas"][cast(str, schema["$ref"]).rpartition("/")[2]]


def _markdown(text: str) -> str:
    """The little Markdown of our own description: paragraphs, tables, code."""
    out = []
    for block in text.strip().split("\n\n"):
        lines = block.split("\n")
        if lines[0].startswith("|"):
            rows = [line.strip("|").split("|") for line in (lines[0], *lines[2:])]
            out.append(f"<table>{''.join(f'<tr>{_cells(row)}</tr>' for row in rows)}</table>")
        else:
            out.append(f"<p>{_code(escape(block))}</p>")
    return "".join(out)


def _cells(row: list[str]) -> str:
    return "".join(f"<td>{_code(escape(cell.strip()))}</td>" for cell in row)


def _code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
