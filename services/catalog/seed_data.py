"""The models and plans that every installation begins with, and which upstream they are routed to.

Names, prices and plans are those of docs/pricing.md. The token constants are upper bounds, since credit is held by them
before a request runs; too high costs a caller nothing but a larger hold, too low could overspend a balance:

- `max_output_tokens`: what one answer may have at most, half of the context.
- `template_tokens`: what the chat template adds to a prompt beside the messages' own bytes: a default system prompt and
  the opening of the answer. The longest of the templates that the upstream models ship with have about 60 tokens.
- `tools_tokens`: the instructions that a template writes around tool definitions: about 170 tokens for Qwen 3's Hermes
  format, about 350 for Qwen 3 Coder's XML format.
- `image_tokens`: Gemma 4 spends at most 1,120 tokens on an image; Qwen's vision models at most 16,384 by default.
  Models without vision refuse images; theirs is the bound of the smaller family, for routes to other models.
"""

from dataclasses import dataclass

from services.catalog.prices import Rates
from services.catalog.rows import ModelKind, Plan, Route, UpstreamKind
from services.catalog.settings import SeedSettings
from services.catalog.upstreams import OpenUpstream

NANOS_PER_CENT = 10_000_000
NANOS_PER_USD = 100 * NANOS_PER_CENT
GEMMA_IMAGE_TOKENS = 1_120
QWEN_IMAGE_TOKENS = 16_384
ENV_UPSTREAMS = ("default", "embedded-chat", "embedded-embed")
"""Names of the upstreams that settings describe; they follow the settings at every start."""
EMBEDDED_ANSWER_TOKENS = 1_024
"""The small model of the embedded stack sometimes comes to no end by itself; this much takes a busy laptop a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedModel:
    """A model as it begins; prices in cents for a million tokens."""

    public_name: str
    upstream_model: str
    family: str
    kind: ModelKind = ModelKind.CHAT
    context_tokens: int
    max_output_tokens: int
    dimensions: int = 0
    template_tokens: int = 128
    tools_tokens: int = 512
    image_tokens: int = GEMMA_IMAGE_TOKENS
    input_cents: int
    output_cents: int

    @property
    def rates(self) -> Rates:
        """Its first price."""
        return Rates(
            input_nanos_per_mtok=self.input_cents * NANOS_PER_CENT,
            cached_input_nanos_per_mtok=None,
            output_nanos_per_mtok=self.output_cents * NANOS_PER_CENT,
        )


MODELS = (
    SeedModel(
        public_name="privaterouter/fast",
        upstream_model="gemma4:latest",
        family="gemma",
        context_tokens=8_192,
        max_output_tokens=4_096,
        input_cents=10,
        output_cents=30,
    ),
    SeedModel(
        public_name="privaterouter/qwen-fast",
        upstream_model="qwen3:latest",
        family="qwen",
        context_tokens=32_768,
        max_output_tokens=16_384,
        input_cents=10,
        output_cents=30,
    ),
    SeedModel(
        public_name="privaterouter/qwen-pro",
        upstream_model="qwen3.6:latest",
        family="qwen",
        context_tokens=32_768,
        max_output_tokens=16_384,
        image_tokens=QWEN_IMAGE_TOKENS,
        input_cents=50,
        output_cents=150,
    ),
    SeedModel(
        public_name="privaterouter/deepseek-code",
        upstream_model="qwen3-coder:latest",
        family="deepseek",
        context_tokens=32_768,
        max_output_tokens=16_384,
        tools_tokens=1_024,
        input_cents=60,
        output_cents=180,
    ),
    SeedModel(
        public_name="privaterouter/deepseek-reason",
        upstream_model="deepseek-r1:latest",
        family="deepseek",
        context_tokens=32_768,
        max_output_tokens=16_384,
        input_cents=30,
        output_cents=90,
    ),
    SeedModel(
        public_name="privaterouter/embed",
        upstream_model="nomic-embed-text",
        family="embedding",
        kind=ModelKind.EMBEDDING,
        context_tokens=8_192,
        max_output_tokens=0,
        dimensions=768,
        # Begin and end marks, and a task prefix that some servers add.
        template_tokens=16,
        tools_tokens=0,
        image_tokens=0,
        input_cents=5,
        output_cents=0,
    ),
)


def _plan(position: int, name: str, *, monthly_usd: int, included_usd: int, rpm: int, models: tuple[str, ...]) -> Plan:
    return Plan(
        id=name.lower(),
        name=name,
        monthly_nanos=monthly_usd * NANOS_PER_USD,
        included_nanos=included_usd * NANOS_PER_USD,
        rpm=rpm,
        all_models=not models,
        allowed_models=tuple(sorted(f"privaterouter/{model}" for model in models)),
        monthly_quota_tokens=None,
        position=position,
    )


_STARTER = ("fast", "qwen-fast", "embed")
_PRO = (*_STARTER, "qwen-pro", "deepseek-code")
PLANS = (
    _plan(1, "Free", monthly_usd=0, included_usd=1, rpm=20, models=("fast", "embed")),
    _plan(2, "Starter", monthly_usd=10, included_usd=12, rpm=60, models=_STARTER),
    _plan(3, "Pro", monthly_usd=20, included_usd=25, rpm=120, models=_PRO),
    _plan(4, "Developer", monthly_usd=49, included_usd=65, rpm=300, models=()),
    _plan(5, "Team", monthly_usd=199, included_usd=275, rpm=1_000, models=()),
)


def upstreams(settings: SeedSettings) -> list[OpenUpstream]:
    """The upstreams that the settings describe."""
    if settings.upstream_kind == "embedded":
        urls = {"embedded-chat": settings.embedded_chat_url, "embedded-embed": settings.embedded_embed_url}
        return [
            OpenUpstream(name=name, kind=UpstreamKind.OPENAI, base_url=url, credential="", virtual_keys=False)
            for name, url in urls.items()
        ]
    kind = UpstreamKind(settings.upstream_kind)
    return [
        OpenUpstream(
            name="default",
            kind=kind,
            base_url=settings.upstream_base_url,
            credential=settings.upstream_api_key.get_secret_value(),
            virtual_keys=kind is UpstreamKind.LITELLM and settings.litellm_virtual_keys,
        )
    ]


def route(model: SeedModel, settings: SeedSettings) -> Route:
    """Where the settings have a model served: under its own name, but for the embedded stack's two small models.

    With LiteLLM its `model_name` is the upstream model's name.
    """
    if settings.upstream_kind != "embedded":
        return Route(upstream_name="default", upstream_model=model.upstream_model)
    if model.kind is ModelKind.EMBEDDING:
        return Route(upstream_name="embedded-embed", upstream_model=settings.embedded_embed_model)
    return Route(upstream_name="embedded-chat", upstream_model=settings.embedded_chat_model)


def max_output_tokens(model: SeedModel, settings: SeedSettings) -> int:
    """The longest answer of a model; the small model of the embedded stack has its own bound."""
    most = model.max_output_tokens
    return min(most, EMBEDDED_ANSWER_TOKENS) if settings.embedded_models else most


def dimensions(model: SeedModel, settings: SeedSettings) -> int:
    """Size of a model's embeddings; not known of the small model of the embedded stack, which stands in."""
    return 0 if settings.embedded_models else model.dimensions
