# accounts: the caller's own accounts at model providers, where the environment has a key for one. Each
# becomes a provider, and a wildcard model behind which every model of it is reached: `openai/gpt-4o-mini`.

accounts_objects() {
    if [ -n "${OPENAI_API_KEY:-}" ]; then account_openai; fi
    account ANTHROPIC_API_KEY anthropic '"dialect":"anthropic"' "$(account_secret ANTHROPIC_API_KEY)"
    account GEMINI_API_KEY gemini '"dialect":"gemini"' "$(account_secret GEMINI_API_KEY)"
    account_azure
    account_bedrock
}

# account_secret VARIABLE: a credential of which its value is all
account_secret() { printf '"secret":%s' "$(json_string "${!1:-}")"; }

# account VARIABLE NAME PROVIDER CREDENTIAL: where the variable is set, a provider with members PROVIDER and
# one credential with members CREDENTIAL, and its wildcard model. A provider of that name that this command
# did not make keeps its own key and models.
account() {
    [ -n "${!1:-}" ] || return 0
    object providers "$2" "{\"name\":\"$2\",$3,\"credentials\":[{\"name\":\"main\",$4}]}"
    if [ "$object_is_ours" = no ]; then
        note "$1 was not used"
        return 0
    fi
    object models "$2/*" "{\"name\":\"$2/*\",\"targets\":[{\"provider\":\"$2\",\"model\":\"*\"}]}"
    note "$1 is set: the provider $2 is registered, its models as $2/…"
    object_is_ours=yes
}

account_openai() {
    object_is_ours=no
    account OPENAI_API_KEY openai '"dialect":"openai"' "$(account_secret OPENAI_API_KEY)"
    [ "$object_is_ours" = yes ] || return 0
    object models gpt-4o-mini '{"name":"gpt-4o-mini","strategy":"fallback",
        "targets":[{"provider":"openai","model":"gpt-4o-mini"}],"max_output_tokens":16384,
        "price":{"input_per_mtok":0.15,"output_per_mtok":0.60,"cache_read_per_mtok":0.075}}'
    if [ "$object_is_ours" = yes ]; then note '… and its model gpt-4o-mini'; fi
}

# AZURE_OPENAI_ENDPOINT: https://NAME.openai.azure.com
account_azure() {
    [ -n "${AZURE_OPENAI_API_KEY:-}" ] || return 0
    if [ -z "${AZURE_OPENAI_ENDPOINT:-}" ]; then
        note 'AZURE_OPENAI_API_KEY is set without AZURE_OPENAI_ENDPOINT; it was not used'
        return 0
    fi
    local url=${AZURE_OPENAI_ENDPOINT%/} version=
    if [[ $url != */openai* ]]; then url=$url/openai; fi
    if [ -n "${OPENAI_API_VERSION:-}" ]; then version=",\"api_version\":$(json_string "$OPENAI_API_VERSION")"; fi
    account AZURE_OPENAI_API_KEY azure "\"dialect\":\"azure\",\"base_url\":$(json_string "$url")$version" \
        "$(account_secret AZURE_OPENAI_API_KEY)"
}

account_bedrock() {
    local region=${AWS_REGION:-${AWS_DEFAULT_REGION:-}} variable=AWS_ACCESS_KEY_ID credential
    if [ -n "${AWS_BEARER_TOKEN_BEDROCK:-}" ]; then
        variable=AWS_BEARER_TOKEN_BEDROCK
        credential=$(account_secret AWS_BEARER_TOKEN_BEDROCK)
    elif [ -n "${AWS_ACCESS_KEY_ID:-}" ] && [ -n "${AWS_SECRET_ACCESS_KEY:-}" ]; then
        credential="\"access_key_id\":$(json_string "$AWS_ACCESS_KEY_ID"),$(account_secret AWS_SECRET_ACCESS_KEY)"
        if [ -n "${AWS_SESSION_TOKEN:-}" ]; then
            credential+=",\"session_token\":$(json_string "$AWS_SESSION_TOKEN")"
        fi
    else
        return 0
    fi
    if [ -z "$region" ]; then
        note "$variable is set without AWS_REGION; it was not used"
        return 0
    fi
    account "$variable" bedrock '"dialect":"bedrock"' "$credential,\"region\":$(json_string "$region")"
}
