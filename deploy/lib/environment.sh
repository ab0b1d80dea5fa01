# environment: gatehouse.env, what scripts read of an installation (mode 0600, the caller's).

# environment_value NAME: what the file says now, nothing where there is no file
environment_value() {
    [ -r "$gh_env" ] || return 0
    # shellcheck disable=SC1090
    (unset "$1"; . "$gh_env" && printf '%s' "${!1:-}")
}

# NAME=VALUE, quoted where a shell would want it, so that simpler readers understand the rest too
environment_line() {
    if [[ $2 =~ ^[A-Za-z0-9_:/.@%+=,-]*$ ]]; then
        printf '%s=%s\n' "$1" "$2"
    else
        printf "%s='%s'\n" "$1" "${2//\'/\'\\\'\'}"
    fi
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
            environment_line GATEHOUSE_URL "http://127.0.0.1:$(port_of dataplane)"
            environment_line GATEHOUSE_URLS "$urls"
            environment_line GATEHOUSE_ADMIN_URL "$gh_admin_url"
            environment_line GATEHOUSE_ADMIN_TOKEN "$gh_admin_token"
            environment_line GATEHOUSE_KEY "$gh_key"
            environment_line GATEHOUSE_METRICS_URL "http://127.0.0.1:$(port_of metrics)"
            environment_line GATEHOUSE_DATABASE_URL "$gh_run_url"
        } >"$gh_env.new"
    )
    mv -f "$gh_env.new" "$gh_env"
}
