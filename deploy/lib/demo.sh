# demo: a model provider, an MCP server and a company API of our own, and an agent that may use
# them, so that the first request through each gate needs nothing from anywhere else.

demo_entry() {
    process_write 20 "$1" 10 TERM <<END
env LANG=C.UTF-8
arg $gh_place/bin/$1
arg --listen
arg 127.0.0.1:$(port_of "$1")
END
}

demo_start() {
    step 'Starting the demo backends'
    local name
    for name in $BUILD_DEMO; do demo_entry "$name"; done
    processes_apply
    for name in $BUILD_DEMO; do
        process_wait "$name" 30 answers "http://127.0.0.1:$(port_of "$name")/healthz"
    done
}

# The demo's upstreams are on loopback, which the egress check refuses unless the administrator
# allows it.
readonly DEMO_LOOPBACK='"allow_cidrs":["127.0.0.0/8"]'

readonly DEMO_ROUTES='[{"methods":["GET","POST"],"path":"/customers"},
    {"methods":["GET","DELETE"],"path":"/customers/*"},
    {"methods":["GET","POST","PUT","PATCH","DELETE"],"path":"/echo"},
    {"methods":["POST"],"path":"/upload"},{"methods":["GET"],"path":"/download"}]'

demo_objects() {
    step 'Creating the demo team, agent, key and grants'
    local origin=http://127.0.0.1:$(port_of demo-provider)
    local mcp=http://127.0.0.1:$(port_of demo-mcp)/mcp
    local api=http://127.0.0.1:$(port_of demo-api)
    object teams demo '{"name":"demo"}'
    object agents demo-agent '{"name":"demo-agent","team":"demo"}'
    object providers demo "{\"name\":\"demo\",\"dialect\":\"openai\",\"base_url\":\"$origin/v1\",
        \"credentials\":[{\"name\":\"main\",\"secret\":\"sk-demo\"}],$DEMO_LOOPBACK}"
    object providers demo-anthropic "{\"name\":\"demo-anthropic\",\"dialect\":\"anthropic\",\"base_url\":\"$origin\",
        \"credentials\":[{\"name\":\"main\",\"secret\":\"sk-demo\"}],$DEMO_LOOPBACK}"
    object providers demo-gemini "{\"name\":\"demo-gemini\",\"dialect\":\"gemini\",\"base_url\":\"$origin\",
        \"credentials\":[{\"name\":\"main\",\"secret\":\"sk-demo\"}],$DEMO_LOOPBACK}"
    object providers demo-down "{\"name\":\"demo-down\",\"dialect\":\"anthropic\",\"base_url\":\"$origin\",
        \"credentials\":[{\"name\":\"main\",\"secret\":\"sk-demo\"}],$DEMO_LOOPBACK}"
    demo_model demo-chat '{"provider":"demo","model":"demo-chat"}'
    demo_model demo-claude '{"provider":"demo-anthropic","model":"demo-chat"}'
    demo_model demo-gemini '{"provider":"demo-gemini","model":"demo-chat"}'
    # its first target always fails, so that every call shows a fallback
    demo_model demo-fallback '{"provider":"demo-down","model":"demo-chat?fail_percent=100&fail_status=529"},
        {"provider":"demo-gemini","model":"demo-chat"}'
    object mcp-servers demo-tools "{\"name\":\"demo-tools\",\"transport\":\"streamable-http\",
        \"url\":\"$mcp\",$DEMO_LOOPBACK}"
    object api-services demo-api "{\"name\":\"demo-api\",\"base_url\":\"$api\",
        \"credential\":{\"header\":\"authorization\",\"secret\":\"Bearer demo-api-secret\"},
        \"routes\":$DEMO_ROUTES,$DEMO_LOOPBACK}"
    object grants demo-models '{"team":"demo","models":["*"]}'
    object grants demo-tools '{"agent":"demo-agent","server":"demo-tools","tools":["*"]}'
    object grants demo-api '{"agent":"demo-agent","service":"demo-api"}'
    demo_key
}

# demo_model NAME TARGETS
demo_model() {
    object models "$1" "{\"name\":\"$1\",\"strategy\":\"fallback\",\"targets\":[$2],\"max_output_tokens\":4096,
        \"price\":{\"input_per_mtok\":0.15,\"output_per_mtok\":0.60,\"cache_read_per_mtok\":0.075}}"
}

# The control plane shows the key only once, when the key is made. It is kept for gatehouse.env; a
# key that is lost is rotated.
demo_key() {
    gh_key=$(owner_read "$gh_place/secrets/demo-agent.key" 2>/dev/null) || true
    [ -z "$gh_key" ] || return 0
    admin POST '/admin/v1/keys?wait=applied' '{"name":"demo-agent key","agent":"demo-agent"}' || true
    if [ "$admin_status" = 409 ]; then
        admin GET '/admin/v1/keys/demo-agent%20key' || true
        admin_must POST "/admin/v1/keys/$(admin_text id)/rotate?wait=applied"
    fi
    gh_key=$(admin_text key)
    [ -n "$gh_key" ] || die $EXIT_START \
        "The control plane made no key for the demo (status $admin_status): $admin_body"
    printf '%s\n' "$gh_key" | owner_write "$gh_place/secrets/demo-agent.key" 600
}

# One command for each gate, all in one session, and the session's spans. Each works as printed.
demo_usage() {
    local url=http://127.0.0.1:$(port_of dataplane)
    cat <<END

One request through each gate, all in the session \`demo\`:

  # AI gate
  curl -s $url/v1/chat/completions -H 'authorization: Bearer $gh_key' -H 'x-gatehouse-session: demo' -H 'content-type: application/json' -d '{"model":"demo-chat","messages":[{"role":"user","content":"Hello"}]}'

  # tool gate
  curl -s $url/mcp/demo-tools -H 'authorization: Bearer $gh_key' -H 'x-gatehouse-session: demo' -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"message":"Hello"}}}'

  # API gate
  curl -s $url/api/demo-api/customers/1 -H 'authorization: Bearer $gh_key' -H 'x-gatehouse-session: demo'

  # the spans of all three, a second later
  curl -s $gh_admin_url/admin/v1/sessions/demo/spans -H "authorization: Bearer \$(cat $gh_place/secrets/admin.token)"

END
}
