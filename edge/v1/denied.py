"""Fields that steer the upstream proxy instead of the model: refused, so that no caller chooses where a request goes.

The names are those that LiteLLM, Ollama and llama.cpp read from a request body beside OpenAI's own fields, and other
spellings of the output limit, which would undo the limit that a request's money was held for.
"""

from collections.abc import Iterable

from edge.errors import EdgeError

_NAMES = frozenset(
    {
        # Where a request goes, and with whose credential.
        "api_base", "api_key", "api_version", "api_type", "base_url", "base_model", "client", "credentials",
        "custom_llm_provider", "deployment_id", "extra_body", "extra_headers", "extra_query", "headers",
        "model_list", "organization", "project", "proxy_server_request", "region_name", "secret_fields",
        "specific_deployment", "ssl_verify", "user_config", "allowed_model_region", "model_info",
        # How often and where else it is tried.
        "fallbacks", "context_window_fallbacks", "context_window_fallback_dict", "content_policy_fallbacks",
        "disable_fallbacks", "max_retries", "num_retries", "retry_policy", "retry_strategy", "request_timeout",
        "timeout", "stream_timeout", "cooldown_time", "enable_json_schema_validation",
        # What it counts and costs.
        "input_cost_per_token", "output_cost_per_token", "input_cost_per_second", "output_cost_per_second",
        "max_budget", "budget_duration", "no-log", "tpm", "rpm", "cache", "caching", "cache_key", "ttl",
        "guardrails", "guardrail_config", "callbacks", "success_callback", "failure_callback", "logger_fn",
        # Other spellings of limits that the money was held for.
        "n_predict", "num_predict", "max_new_tokens", "max_output_tokens", "min_tokens", "n_cmpl", "num_ctx",
        # The server's own memory.
        "options", "keep_alive", "id_slot", "cache_prompt", "slot_id", "lora",
    }
)  # fmt: skip
_PREFIXES = ("litellm_", "mock_", "aws_", "vertex_", "azure_", "user_api_key_", "oci_", "watsonx_")


def refuse_denied(names: Iterable[str]) -> None:
    """EdgeError `invalid_body` for the first name of the list; names are compared in lower case."""
    for name in names:
        lower = name.lower()
        if lower in _NAMES or lower.startswith(_PREFIXES):
            raise EdgeError("invalid_body", f"The field {name!r} is not accepted here. Remove it.", param=name)
