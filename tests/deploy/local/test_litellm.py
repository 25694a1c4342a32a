"""The LiteLLM of the embedded stack: what it is told, and that its environment is made once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import httpx
import pytest

from deploy.local import litellm, litellm_install
from deploy.local.model import CHAT_MODEL
from deploy.local.process import StackError
from edge.lookup.catalogue import Upstream
from edge.upstream.adapters import extra_fields
from services.catalog import seed_data
from services.catalog.rows import ModelKind
from tests.support.litellm import lend_to
from tests.support.stack import privaterouter

MASTER_KEY = "sk-" + "0123456789abcdef" * 3
# Python reads this at its start: it notes whom the process looks up and connects to.
WATCH = """
import sys

def note(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"}:
        address = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
        with open(%r, "a") as file:
            file.write(f"{address}\\n")

sys.addaudithook(note)
"""


def test_it_serves_every_model_of_the_catalogue_on_the_model_of_its_kind() -> None:
    served = litellm.config(chat_url="http://127.0.0.1:1", embed_url="http://127.0.0.1:2")["model_list"]
    assert isinstance(served, list)
    found = {one["model_name"]: (one["model_info"]["mode"], one["litellm_params"]["api_base"]) for one in served}
    assert len(found) == len(served)
    assert found == {
        model.upstream_model: ("embedding", "http://127.0.0.1:2/v1")
        if model.kind is ModelKind.EMBEDDING
        else ("chat", "http://127.0.0.1:1/v1")
        for model in seed_data.MODELS
    }


def test_it_tries_nothing_twice_and_keeps_prompts_to_itself() -> None:
    told = litellm.config(chat_url="", embed_url="")
    assert {key: value for key, value in told.items() if key != "model_list"} == {
        "litellm_settings": {
            "num_retries": 0,
            "telemetry": False,
            "turn_off_message_logging": True,
            "redact_messages_in_exceptions": True,
            "suppress_debug_info": True,
        },
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
        "general_settings": {"disable_model_info_refresh": True},
    }
    assert "sk-" not in json.dumps(told)


def test_it_is_told_neither_our_secrets_nor_those_of_whoever_starts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "DATABASE_URL", "APP_SECRET_KEY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "a secret")
    proxy = litellm.Litellm(tmp_path, log=tmp_path / "log", master_key="sk-generated")
    told = proxy._told(tmp_path / "config.yaml")
    assert "a secret" not in told.values()
    assert (told["LITELLM_MASTER_KEY"], told["HOME"]) == ("sk-generated", str(tmp_path))


def test_an_environment_counts_as_installed_until_its_lock_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "litellm.txt"
    lock.write_text("# nothing\n")
    monkeypatch.setattr(litellm_install, "LOCK", lock)
    environment = tmp_path / "venv"
    assert not litellm_install.is_installed(environment)
    child = litellm_install.begin(environment, log=tmp_path / "install.log")
    child.stop(within_s=0)
    assert not litellm_install.is_installed(environment)
    litellm_install.finish(environment)
    assert litellm_install.is_installed(environment)
    lock.write_text("# something else\n")
    assert not litellm_install.is_installed(environment)
    lock.unlink()
    with pytest.raises(StackError, match="run this from a clone, or set UPSTREAM_BASE_URL"):
        litellm_install.begin(environment, log=tmp_path / "install.log")


def test_a_stack_whose_litellm_cannot_be_installed_says_so_with_the_log_and_may_try_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    nowhere = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(tmp_path / "empty")}
    refused = privaterouter("up", home=home, UPSTREAM_KIND="litellm", **nowhere)
    assert refused.returncode == 1
    assert refused.stderr.startswith("Installing LiteLLM (this first time only; ")
    assert f"Its log: {home / 'logs' / 'litellm-install.log'}" in refused.stderr
    assert not litellm_install.is_installed(home / "litellm" / "venv")


class Model(BaseHTTPRequestHandler):
    """A model that fails whatever it is asked, and notes it."""

    asked: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(500)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def failing_model() -> Iterator[tuple[str, list[Any]]]:
    """Its base URL, and the bodies that it was asked with."""
    Model.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Model.asked
        server.shutdown()


def ask(proxy: litellm.Litellm, *, master_key: str = MASTER_KEY) -> tuple[int, str]:
    """Status and type of error of a chat, sent as the edge sends it."""
    body = {"model": "gemma4:latest", "messages": [{"role": "user", "content": "lighthouse"}]}
    fields = extra_fields(Upstream("default", "litellm", proxy.url, master_key), "the-id", {})
    body |= {name: json.loads(value) for name, value in fields.items()}
    headers = {"authorization": f"Bearer {master_key}"}
    answer = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    return answer.status_code, answer.json()["error"]["type"]


@pytest.mark.timeout(600)
def test_it_calls_nobody_but_the_models_tries_nothing_twice_and_keeps_prompts_to_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lend_to(tmp_path)
    called, log = tmp_path / "called", tmp_path / "litellm.log"
    (tmp_path / "sitecustomize.py").write_text(WATCH % str(called))
    proxy = litellm.Litellm(tmp_path / "litellm", log=log, master_key=MASTER_KEY)
    told = proxy._told
    monkeypatch.setattr(proxy, "_told", lambda file: told(file) | {"PYTHONPATH": str(tmp_path)})
    with failing_model() as (url, asked):
        proxy.launch(chat_url=url, embed_url=url)
        try:
            proxy.child.wait_until(proxy.is_ready, within_s=litellm.START_WITHIN_S)
            assert ask(proxy) == (500, "internal_server_error")
            # Our metadata stays with LiteLLM: the model is sent neither that nor the number of retries.
            assert asked == [
                {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "lighthouse"}]},
            ]
            # Without a database a wrong key is a 400, which must not be taken for the caller's mistake.
            assert ask(proxy, master_key="sk-other") == (400, "no_db_connection")
            assert len(asked) == 1
        finally:
            proxy.stop()
    host, port = url.removeprefix("http://").split(":")
    assert set(called.read_text().splitlines()) == {str((host, int(port)))}
    assert "lighthouse" not in log.read_text()
