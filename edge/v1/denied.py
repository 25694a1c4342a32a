"""Fields that steer the upstream proxy instead of the model: refused, so that no caller chooses where a request goes.

The names are those that LiteLLM, OpenRouter, Ollama, llama.cpp, vLLM and SGLang read from a request body beside
OpenAI's own fields, what costs more than the tokens of the answer show, and other spellings of the output limit, which
would undo the limit that money was held for.

Names are compared as Go's JSON reader (Ollama's) does, without regard to case: to it `Max_Tokens` is `max_tokens`, and
the last of the two counts. So what we read ourselves is refused in any other spelling than its own.
"""

from collections.abc import Iterable
from typing import Final

from edge.errors import EdgeError

_PLACES: Final = frozenset(
    {
        # Where a request goes, and with whose credential; LiteLLM reads some of them within `metadata` as well.
        "api_base", "api_key", "api_version", "api_type", "base_url", "base_model", "client_secret", "credentials",
        "custom_llm_provider", "deployment", "deployment_id", "deployment_url", "endpoint", "model_group", "model_id",
        "model_info", "model_list", "region_name", "secret_fields", "slack_webhook_url", "specific_deployment",
        "user_api_key",
    }
)  # fmt: skip
_NAMES: Final = _PLACES | frozenset(
    {
        "client", "client_id", "extra_body", "extra_headers", "extra_query", "headers", "organization", "project",
        "provider_specific_header", "proxy_server_request", "ssl_verify", "tenant_id", "use_litellm_proxy", "use_ssl",
        "user_config", "allowed_model_region", "data_residency", "model_config", "model_alias_map", "shared_session",
        "routing_strategy", "router_settings_override", "silent_model", "weights", "tags", "tag_regex", "priority",
        "weight", "order", "search_tool_name", "vector_store_ids", "mcp_servers", "hf_model_name", "nvcf_function_id",
        "agentcore_runtime_session_id", "addressed_response_id", "model_file_id_mapping", "provider_affinity_header",
        "enable_tag_filtering", "use_chat_completions_api", "use_in_pass_through", "use_xai_oauth",
        "configurable_clientside_auth_params", "fireworks_forward_user_id", "azure", "rust", "passthrough",
        # OpenRouter's: other models and providers, and tools that it runs itself.
        "models", "provider", "route", "transforms", "plugins", "preset",
        # Servers behind one address, and code or weights that they would load.
        "kv_transfer_params", "bootstrap_host", "bootstrap_port", "bootstrap_room", "data_parallel_rank", "lora",
        "lora_path", "adapter_id", "custom_logit_processor", "logits_processors", "chat_template", "request_id", "rid",
        # How often and where else it is tried.
        "fallbacks", "context_window_fallbacks", "context_window_fallback_dict", "content_policy_fallbacks",
        "disable_fallbacks", "include_fallback_errors", "fallback_depth", "max_fallbacks", "attempted_targets",
        "fastest_response", "max_retries", "num_retries", "retry_policy", "retry_strategy", "request_timeout",
        "timeout", "force_timeout", "stream_timeout", "timeout_by_service_tier", "stream_timeout_by_service_tier",
        "cooldown_time", "keepalive_seconds", "enable_json_schema_validation", "max_agentic_loops",
        # What it counts and costs, and who is told of it.
        "max_budget", "budget_duration", "no-log", "no_log", "tpm", "rpm", "cache", "caching", "cache_key", "ttl",
        "preset_cache_key", "caching_groups", "max_parallel_requests", "spend_logs_metadata", "guardrails",
        "guardrail_config", "guardrail_to_apply", "disable_global_guardrails", "policies", "callbacks",
        "success_callback", "failure_callback", "logger_fn", "turn_off_message_logging", "complete_response",
        "stream_response", "trusted_callback_vars", "completion_call_id", "enable_prompt_caching",
        # Texts and parameters of the proxy's own, in the place of or beside the caller's.
        "prompt_id", "prompt_variables", "prompt_version", "prompt_label", "prompt_environment", "drop_params",
        "additional_drop_params", "allowed_openai_params", "custom_prompt_dict", "acompletion", "aembedding",
        "text_completion", "atext_completion",
        # Other spellings of limits that the money was held for.
        "n_predict", "num_predict", "max_new_tokens", "max_output_tokens", "max_tokens_to_sample", "max_length",
        "min_tokens", "min_new_tokens", "n_cmpl", "num_ctx", "num_return_sequences", "num_beams", "use_beam_search",
        # What a server searches, keeps in a session, or takes pictures apart with; and every token of the prompt with
        # its rivals: it costs what is not in the tokens.
        "web_search_options", "search_parameters", "enable_search", "web_search", "session_params",
        "mm_processor_kwargs", "media_io_kwargs", "prompt_logprobs",
        # The server's own memory.
        "options", "keep_alive", "id_slot", "cache_prompt", "slot_id", "prompt_embeds",
    }
)  # fmt: skip
_PREFIXES: Final = (
    # An underscore begins what LiteLLM tells itself.
    "_", "litellm_", "mock_", "user_api_key_",
    # Accounts at clouds.
    "aws_", "vertex_", "azure_", "oci_", "watsonx_", "gcs_", "s3_", "sagemaker_", "bedrock_", "gigachat_",
    "anthropic_", "anthropic-", "openai_", "auto_router_", "complexity_router_", "adaptive_router_", "quality_router_",
    # Watchers, which get the whole conversation.
    "langfuse_", "langsmith_", "humanloop_", "arize_", "posthog_", "braintrust_", "lunary_", "wandb_", "weave_", "dd_",
    "newrelic_", "signoz_",
    # Prices.
    "cost_per_", "input_cost_per_", "output_cost_per_", "cache_creation_input_", "cache_read_input_",
)  # fmt: skip
_READ: Final = frozenset(
    {
        "model", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "best_of", "messages",
        "prompt", "input", "tools", "functions", "response_format", "metadata", "instructions", "system", "store",
        "user", "top_logprobs", "logprobs", "service_tier", "chat_template_kwargs", "tool_choice", "function_call",
    }
)  # fmt: skip


def refuse_denied(names: Iterable[str]) -> None:
    """EdgeError `invalid_body` for the first top-level name of the list, or that is ours but for its case."""
    for name in names:
        folded = name.casefold()
        if folded in _NAMES or folded.startswith(_PREFIXES):
            raise _refusal(name, name)
        if folded != name and folded in _READ:
            raise EdgeError("invalid_body", f"The field {name[:64]!r} must be spelled {folded!r}.", param=name[:64])


def refuse_denied_within(field: str, names: Iterable[str]) -> None:
    """EdgeError `invalid_body` for the first name in an object of notes that the proxy would read as an order."""
    for name in names:
        folded = name.casefold()
        if folded in _PLACES or folded.startswith(_PREFIXES):
            raise _refusal(f"{field}.{name}", field)


def _refusal(name: str, param: str) -> EdgeError:
    return EdgeError("invalid_body", f"The field {name[:64]!r} is not accepted here. Remove it.", param=param[:64])
