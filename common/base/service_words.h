/*
 * service_words — the protocols and services that a provider of models may name, with the address
 * each has where none is given.
 *
 * A protocol is the `dialect` of a provider. A service speaks OpenAI's protocol with differences of
 * its own: `quirks` names it. The control plane takes these words and writes the address into the
 * stored document; what the words mean stands in dataplane/ai/provider.
 *
 * An address is what the vendor's own SDK would be given. "{region}" in it stands for the region of
 * the credential. NULL: there is none that all customers share.
 */
#pragma once

#define SERVICE_DIALECT_TABLE(ROW)                                                                 \
    ROW("openai", "https://api.openai.com/v1")                                                     \
    ROW("azure", NULL)                                                                             \
    ROW("anthropic", "https://api.anthropic.com")                                                  \
    ROW("gemini", "https://generativelanguage.googleapis.com")                                     \
    ROW("vertex", "https://{region}-aiplatform.googleapis.com")                                    \
    ROW("bedrock", "https://bedrock-runtime.{region}.amazonaws.com")                               \
    ROW("mistral", "https://api.mistral.ai/v1")                                                    \
    ROW("cohere", "https://api.cohere.com")                                                        \
    ROW("ollama", "http://127.0.0.1:11434")

#define SERVICE_QUIRKS_TABLE(ROW)                                                                  \
    ROW("cerebras", "https://api.cerebras.ai/v1")                                                  \
    ROW("deepinfra", "https://api.deepinfra.com/v1/openai")                                        \
    ROW("deepseek", "https://api.deepseek.com/v1")                                                 \
    ROW("fireworks", "https://api.fireworks.ai/inference/v1")                                      \
    ROW("groq", "https://api.groq.com/openai/v1")                                                  \
    ROW("huggingface", "https://router.huggingface.co/v1")                                         \
    ROW("litellm", NULL)                                                                           \
    ROW("llamacpp", NULL)                                                                          \
    ROW("lmstudio", "http://127.0.0.1:1234/v1")                                                    \
    ROW("moonshot", "https://api.moonshot.ai/v1")                                                  \
    ROW("nvidia", "https://integrate.api.nvidia.com/v1")                                           \
    ROW("openrouter", "https://openrouter.ai/api/v1")                                              \
    ROW("perplexity", "https://api.perplexity.ai")                                                 \
    ROW("sambanova", "https://api.sambanova.ai/v1")                                                \
    ROW("sglang", NULL)                                                                            \
    ROW("together", "https://api.together.xyz/v1")                                                 \
    ROW("vllm", NULL)                                                                              \
    ROW("xai", "https://api.x.ai/v1")

#define SERVICE_REGION "{region}"

/* Where a credential is had from that is not given as a secret: `source.type` (common/upstream/
 * token_source.h). Each goes with one protocol. */
#define SERVICE_SOURCE_TABLE(ROW)                                                                  \
    ROW("aws_container", "bedrock")                                                                \
    ROW("aws_imds", "bedrock")                                                                     \
    ROW("aws_web_identity", "bedrock")                                                             \
    ROW("gcp_metadata", "vertex")                                                                  \
    ROW("gcp_external_account", "vertex")                                                          \
    ROW("azure_client", "azure")
