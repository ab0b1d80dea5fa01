# accounts: the caller's own accounts at model providers, where the environment has a key for one.

accounts_objects() {
    if [ -n "${OPENAI_API_KEY:-}" ]; then account_openai; fi
    if [ -n "${ANTHROPIC_API_KEY:-}" ]; then
        account ANTHROPIC_API_KEY anthropic anthropic https://api.anthropic.com
    fi
    if [ -n "${GEMINI_API_KEY:-}" ]; then
        note 'GEMINI_API_KEY is set, but Gemini is not supported yet; it was not used'
    fi
}

# account VARIABLE NAME DIALECT URL: a provider with the variable's value as its credential. A provider of
# that name that this command did not make keeps its own key and models.
account() {
    object providers "$2" "{\"name\":\"$2\",\"dialect\":\"$3\",\"base_url\":\"$4\",
        \"credentials\":[{\"name\":\"main\",\"secret\":$(json_string "${!1}")}]}"
    if [ "$object_is_ours" = no ]; then
        note "$1 was not used"
    else
        note "$1 is set: the provider $2 is registered"
    fi
}

account_openai() {
    account OPENAI_API_KEY openai openai https://api.openai.com/v1
    [ "$object_is_ours" = yes ] || return 0
    object models gpt-4o-mini '{"name":"gpt-4o-mini","strategy":"fallback",
        "targets":[{"provider":"openai","model":"gpt-4o-mini"}],"max_output_tokens":16384,
        "price":{"input_per_mtok":0.15,"output_per_mtok":0.60,"cache_read_per_mtok":0.075}}'
    if [ "$object_is_ours" = yes ]; then note '… and its model gpt-4o-mini'; fi
}
