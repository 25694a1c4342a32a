"""The real LiteLLM proxy in front of the embedded models, without a database: one part of the embedded stack.

It runs in an environment of its own (litellm_install.py) by the command that its documentation gives for servers other
than its own: uvicorn, which unlike LiteLLM's command line takes a listening socket. So its port is had without a race.
"""

import json
import os
import socket
from pathlib import Path

from deploy.local import health, litellm_install
from deploy.local.model import CHAT_MODEL, EMBED_MODEL
from deploy.local.process import Child, StackError

CHAT_NAMES = ("gemma4:latest", "qwen3:latest", "qwen3.6:latest", "qwen3-coder:latest", "deepseek-r1:latest")
EMBED_NAMES = ("nomic-embed-text",)
"""What the catalogue's models are called upstream; a test holds both lists to the catalogue's seed."""
HEALTH_PATH = "/health/liveliness"
# It reads and compiles half a million lines at its first start.
START_WITHIN_S = 240.0

SERVER = (
    *("-m", "uvicorn", "litellm.proxy.proxy_server:app"),
    *("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    *("--no-server-header", "--timeout-graceful-shutdown", "5"),
)
# It would fetch newer copies of these files from the internet; it ships all of them.
LOCAL_COPIES = ("MODEL_COST_MAP", "ANTHROPIC_BETA_HEADERS", "BLOG_POSTS", "POLICY_TEMPLATES", "AUTOROUTER_PRESETS")


class Litellm:
    """The proxy: install it, launch it when the models serve, stop it. Start it from the main thread (process.py)."""

    name = "LiteLLM"

    def __init__(self, directory: Path, *, log: Path, master_key: str) -> None:
        """`directory` holds its environment, its configuration and what it takes for its home."""
        self.environment = directory / "venv"
        self._directory = directory
        self._log = log
        self._master_key = master_key
        self._child: Child | None = None
        self.url = ""

    @property
    def child(self) -> Child:
        """The running proxy's process."""
        if self._child is None:
            raise StackError(f"{self.name} is not running.")
        return self._child

    def launch(self, *, chat_url: str, embed_url: str) -> None:
        """Start the process without waiting for it; `url` is known from here on. Raises OSError."""
        file = self._directory / "config.yaml"
        file.write_text(json.dumps(config(chat_url=chat_url, embed_url=embed_url), indent=1))
        # Only bound: it listens, and so takes connections, when the proxy does.
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self._child = Child(
                self.name,
                [litellm_install.python(self.environment), *SERVER, "--fd", str(listener.fileno())],
                log=self._log,
                environment=self._told(file),
                directory=self._directory,
                keep_open=[listener.fileno()],
            )

    def is_ready(self) -> bool:
        """Whether it answers; never raises."""
        return health.answers(int(self.url.rpartition(":")[2]), HEALTH_PATH)

    def stop(self) -> None:
        """Stop it; fine when it is not running."""
        if self._child is not None:
            self._child.stop(within_s=8)
            self._child = None

    def _told(self, file: Path) -> dict[str, str]:
        """Nothing but this is its business: neither our secrets, nor a provider's key of whoever starts the stack."""
        return {
            **{name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ},
            **{f"LITELLM_LOCAL_{name}": "True" for name in LOCAL_COPIES},
            "HOME": str(self._directory),
            "CONFIG_FILE_PATH": str(file),
            "LITELLM_MASTER_KEY": self._master_key,
            "LITELLM_MODE": "PRODUCTION",  # reads no .env
            "LITELLM_LOG": "ERROR",
            "DISABLE_ADMIN_UI": "True",
            "NO_DOCS": "True",
            "NO_REDOC": "True",
        }


def config(*, chat_url: str, embed_url: str) -> dict[str, object]:
    """Its configuration: the catalogue's models on the embedded ones; no retries, no telemetry, no prompts in the log.

    https://docs.litellm.ai/docs/proxy/config_settings
    """
    served = [
        *(_deployment(name, "chat", url=chat_url, model=CHAT_MODEL) for name in CHAT_NAMES),
        *(_deployment(name, "embedding", url=embed_url, model=EMBED_MODEL) for name in EMBED_NAMES),
    ]
    return {
        "model_list": served,
        "litellm_settings": {
            "num_retries": 0,
            "telemetry": False,
            "turn_off_message_logging": True,
            "redact_messages_in_exceptions": True,
            "suppress_debug_info": True,
        },
        # With one server for each model, an error must not take it away for a while: the edge decides that.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"disable_model_info_refresh": True},
    }


def _deployment(name: str, mode: str, *, url: str, model: str) -> dict[str, object]:
    return {
        "model_name": name,
        # The models ask for no key, but the client inside insists on one.
        "litellm_params": {"model": f"openai/{model}", "api_base": f"{url}/v1", "api_key": "none", "max_retries": 0},
        "model_info": {"mode": mode},
    }
