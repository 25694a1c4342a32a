"""What a discovery found, for people and for programs. Credentials are in neither."""

from cli.discovered import Discovery
from cli.ollama_host import Found
from cli.output import table
from kit.ollama import canonical

_GIGABYTE = 1_000_000_000


def tell(discovery: Discovery, *, may_add: bool) -> None:
    """Columns, and sentences for what was done or is to be done."""
    upstream = discovery.upstream
    known = "" if discovery.is_known else ", which the catalogue does not know yet"
    print(f"The Ollama at {upstream.base_url} (upstream {upstream.name}{known}): {len(discovery.found)} of its models.")
    if discovery.found:
        rows = [_row(one, discovery) for one in discovery.found]
        print(f"\n{table(rows, columns=list(rows[0]))}")
    if discovery.missing:
        print("\nMissing there, though the catalogue routes to them; type on its host:")
        rows = [{"command": one.mend, "for": one.public_name} for one in discovery.missing]
        print(table(rows, columns=("command", "for")))
    for heading, names in (("Added", discovery.added), ("Served from here, too", discovery.joined)):
        if names:
            print(f"\n{heading}: {', '.join(names)}.")
    for heading, reasons in (("Not added", discovery.skipped), ("Refused", discovery.refused)):
        for name, why in reasons.items():
            print(f"\n{heading}: {name}: {why.rstrip('.')}.")
    if may_add and any(canonical(one.installed.name) not in discovery.served for one in discovery.found):
        print(
            "\nTo bring in what the catalogue lacks: --add with a price, or --join for what other hosts serve already."
        )


def _row(one: Found, discovery: Discovery) -> dict[str, str]:
    model, shown = one.installed, one.shown
    return {
        "model": model.name,
        "size": _size(model.size_bytes),
        "family": model.family,
        "parameters": model.parameter_size,
        "quantisation": model.quantisation,
        "context": str(shown.context_tokens) if shown and shown.context_tokens else "?",
        "for": one.capability or "?",
        "loaded": "remote" if model.is_remote else "yes" if one.is_loaded else "no",
        "catalogue": ", ".join(discovery.served.get(canonical(model.name), [])) or "-",
    }


def _size(size_bytes: int) -> str:
    return f"{size_bytes / _GIGABYTE:.1f} GB" if size_bytes else "?"


def as_document(discovery: Discovery) -> dict[str, object]:
    """The same as JSON."""
    return {
        "upstream": discovery.upstream.name,
        "base_url": discovery.upstream.base_url,
        "in_catalogue": discovery.is_known,
        "models": [_document(one, discovery) for one in discovery.found],
        "missing": [
            {"public_name": one.public_name, "upstream_model": one.upstream_model, "mend": one.mend}
            for one in discovery.missing
        ],
        "added": discovery.added,
        "joined": discovery.joined,
        "skipped": discovery.skipped,
        "refused": discovery.refused,
    }


def _document(one: Found, discovery: Discovery) -> dict[str, object]:
    model, shown = one.installed, one.shown
    return {
        "name": model.name,
        "size_bytes": model.size_bytes,
        "family": model.family,
        "parameter_size": model.parameter_size,
        "quantisation": model.quantisation,
        "context_tokens": (shown.context_tokens or None) if shown else None,
        "dimensions": (shown.dimensions or None) if shown and one.capability == "embedding" else None,
        "capabilities": sorted(shown.capabilities) if shown else [],
        "loaded": one.is_loaded,
        "remote": model.is_remote,
        "public_names": discovery.served.get(canonical(model.name), []),
    }
