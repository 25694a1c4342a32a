#!/bin/sh
# Writes TypeScript's view of the API: sh dashboard/generate-types.sh <file>
# `make dashboard-types` writes src/api/schema.ts, and `make check` compares it with what comes out here.
set -eu
cd "$(dirname "$0")/.."
# Node.js is a console script of the virtual environment.
PATH="$PWD/.venv/bin:$PATH"
export PATH
described=$(mktemp)
trap 'rm -f "$described"' EXIT
.venv/bin/python -m edge.openapi.export > "$described"
dashboard/node_modules/.bin/openapi-typescript --default-non-nullable=false "$described" --output "$1" > /dev/null
