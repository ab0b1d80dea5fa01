# admin: every call of the control plane's admin API goes through this file.

# admin METHOD PATH [JSON]: sets admin_status and admin_body; fails without a response. Token and
# body reach curl through a file descriptor, since both can be secrets and arguments are public.
admin() {
    local response
    response=$(admin_config "$1" "$2" "${3:-}" |
        curl -sS --noproxy '*' --max-time "${admin_seconds:-30}" -K - -w '\n%{http_code}' 2>&1) || {
        admin_status=000
        admin_body=$response
        return 1
    }
    admin_status=${response##*$'\n'}
    admin_body=${response%$'\n'*}
}

admin_config() {
    printf 'request = "%s"\nurl = "%s%s"\n' "$1" "$gh_admin_url" "$2"
    printf 'header = "authorization: Bearer %s"\n' "$gh_admin_token"
    if [ -n "$3" ]; then
        local body=${3//\\/\\\\}
        body=${body//$'\n'/ } # a config line is a line
        printf 'header = "content-type: application/json"\n'
        printf 'data-raw = "%s"\n' "${body//\"/\\\"}"
    fi
}

# admin_must METHOD PATH [JSON]: any other status than 2xx ends the script with the response's body
admin_must() {
    if ! admin "$@" || [[ $admin_status != 2* ]]; then
        die $EXIT_START "The control plane refused $1 $2 (status $admin_status): $admin_body"
    fi
}

# admin_text NAME: the first member of that name in the response, where it is a plain string
admin_text() {
    printf '%s\n' "$admin_body" | awk -v name="\"$1\"" '
        match($0, name " *: *\"[^\"\\\\]*\"") && !found {
            text = substr($0, RSTART, RLENGTH - 1)
            sub("^" name " *: *\"", "", text)
            print text
            found = 1
        }'
}

# json_string TEXT: with its quotes
json_string() {
    local text=${1//\\/\\\\}
    printf '"%s"' "${text//\"/\\\"}"
}
