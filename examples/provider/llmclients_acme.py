"""One more OpenAI-compatible service. Once this package is installed, Client("acme") asks it."""

from llmclients import Provider

PROVIDER = Provider(
    "acme",
    "llmclients.codecs.openai_chat.codec:OpenAICodec",
    "https://api.acme.example/v1",
    key_variables=("ACME_API_KEY",),
    key_required=True,
    default_model="acme-large",
    dialect={"unsupported": ("seed",)},  # where it differs from OpenAI
)
