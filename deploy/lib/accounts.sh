# accounts: the caller's own accounts at model providers, where the environment has a key for one.

accounts_objects() {
    if [ -n "${OPENAI_API_KEY:-}" ]; then account_openai; fi
    if [ -n "${ANTHROPIC_API_KEY:-}" ]; then
        note 'ANTHROPIC_API_KEY is set, but the Anthropic dialect comes later; it was not used'
    fi
    if [ -n "${GEMINI_API_KEY:-}" ]; then
        note 'GEMINI_API_KEY is set, but the Gemini dialect comes later; it was not used'
    fi
}

# A provider of that name that this command did not make keeps its own key and models.
account_openai() {
    object providers openai "{\"name\":\"openai\",\"dialect\":\"openai\",
        \"base_url\":\"https://api.openai.com/v1\",
        \"credentials\":[{\"name\":\"main\",\"secret\":$(json_string "$OPENAI_API_KEY")}]}"
    if [ "$object_is_ours" = no ]; then
        note 'OPENAI_API_KEY was not used'
        return
    fi
    note 'OPENAI_API_KEY is set: the provider openai is registered'
    object models gpt-4o-mini '{"name":"gpt-4o-mini","strategy":"fallback",
        "targets":[{"provider":"openai","model":"gpt-4o-mini"}],"max_output_tokens":16384,
        "price":{"input_per_mtok":0.15,"output_per_mtok":0.60,"cache_read_per_mtok":0.075}}'
    if [ "$object_is_ours" = yes ]; then note '… and its model gpt-4o-mini'; fi
}
