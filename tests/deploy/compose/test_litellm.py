"""LiteLLM in containers serves the catalogue's models, as the one of `make up` does, from the operator's Ollama."""

from pathlib import Path
from typing import Any

import yaml

from deploy.local import litellm
from services.catalog import seed_data
from services.catalog.rows import ModelKind
from tests.support import compose

CONFIG: dict[str, Any] = yaml.safe_load((Path(litellm.__file__).parents[1] / "compose" / "litellm.yaml").read_text())
MODES = {ModelKind.CHAT: "chat", ModelKind.EMBEDDING: "embedding"}


def test_it_serves_every_model_of_the_catalogue_from_the_ollama() -> None:
    assert CONFIG["model_list"] == [
        {
            "model_name": model.upstream_model,
            "litellm_params": {
                "model": f"openai/{model.upstream_model}",
                "api_base": "os.environ/OPENAI_COMPATIBLE_URL",
                "api_key": "none",
                "max_retries": 0,
            },
            "model_info": {"mode": MODES[model.kind]},
        }
        for model in seed_data.MODELS
    ]


def test_it_is_set_up_as_the_one_of_the_stack_on_one_machine() -> None:
    other = litellm.config(chat_url="", embed_url="")
    for section in ("litellm_settings", "router_settings"):
        assert CONFIG[section] == other[section]
    # It has a database, and keeps no prompts in it.
    assert CONFIG["general_settings"] == {
        "disable_model_info_refresh": True,
        "store_prompts_in_spend_logs": False,
    }


def test_it_is_told_the_same_and_where_the_ollama_is() -> None:
    told = compose.rendered()["services"]["litellm"]["environment"]
    other = litellm.Litellm(Path("/"), log=Path("/"), master_key="")._told(Path("/"))
    inside = ("PATH", "LANG", "TMPDIR", "HOME", "CONFIG_FILE_PATH", "LITELLM_MASTER_KEY")
    assert told == {
        "OPENAI_COMPATIBLE_URL": "http://ollama:11434/v1",
        **{name: value for name, value in other.items() if name not in inside},
    }
    elsewhere = compose.rendered_with({**compose.SECRETS, "OLLAMA_BASE_URL": "http://192.168.6.55:11434"})
    assert elsewhere["services"]["litellm"]["environment"]["OPENAI_COMPATIBLE_URL"] == "http://192.168.6.55:11434/v1"


def test_its_configuration_is_where_its_command_looks() -> None:
    service = compose.rendered()["services"]["litellm"]
    mounted = {volume["target"]: volume["source"] for volume in service["volumes"]}
    assert mounted[service["command"][1]] == str(compose.ROOT / "deploy/compose/litellm.yaml")
