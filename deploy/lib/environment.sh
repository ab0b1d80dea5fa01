# environment: gatehouse.env, what scripts read of an installation (mode 0600, the caller's).

# environment_value NAME: what the file says now, nothing where there is no file
environment_value() {
    [ -r "$gh_env" ] || return 0
    # shellcheck disable=SC1090
    (unset "$1"; . "$gh_env" && printf '%s' "${!1:-}")
}

environment_write() {
    local n urls=''
    for ((n = 1; n <= gh_planes; n++)); do
        urls+="${urls:+ }http://127.0.0.1:$(port_of dataplane $n)"
    done
    (
        umask 077
        {
            printf '# Written by ./gatehouse up; it holds secrets.\n'
            printf '%s=%q\n' \
                GATEHOUSE_URL "http://127.0.0.1:$(port_of dataplane)" \
                GATEHOUSE_URLS "$urls" \
                GATEHOUSE_ADMIN_URL "$gh_admin_url" \
                GATEHOUSE_ADMIN_TOKEN "$gh_admin_token" \
                GATEHOUSE_KEY "$gh_key" \
                GATEHOUSE_METRICS_URL "http://127.0.0.1:$(port_of metrics)" \
                GATEHOUSE_DATABASE_URL "$gh_run_url"
        } >"$gh_env.new"
    )
    belongs_to_caller "$gh_env.new"
    mv -f "$gh_env.new" "$gh_env"
}
