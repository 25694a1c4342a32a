#!/bin/sh
# Generates the Python code and the type stubs of every proto file into the directory $1.
# Deterministic: the generators are locked, the files are handed over sorted, no date is written.
set -eu
out=$1
cd "$(dirname "$0")/.."
# The plugins are console scripts of the virtual environment.
PATH="$PWD/.venv/bin:$PATH"
export PATH
mkdir -p "$out"
find proto -name '*.proto' | LC_ALL=C sort | xargs .venv/bin/python -m grpc_tools.protoc \
    --proto_path=proto \
    --python_out="$out" --grpc_python_out="$out" \
    --mypy_out=quiet,readable_stubs:"$out" --mypy_grpc_out=quiet,readable_stubs,only_async:"$out"
