"""Brings the catalogue's initial data up to date: `python -m scripts.seed`, the same as `services.catalog.seed`."""

import runpy

if __name__ == "__main__":
    runpy.run_module("services.catalog.seed", run_name="__main__", alter_sys=True)
