"""The LiteLLM of the embedded stack: what it is told, and that its environment is made once."""

import json
from pathlib import Path

import pytest

from deploy.local import litellm, litellm_install
from deploy.local.process import StackError
from services.catalog import seed_data
from services.catalog.rows import ModelKind


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
