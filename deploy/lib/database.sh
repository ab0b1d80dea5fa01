# database: which PostgreSQL this installation uses, its private cluster or one of the caller's.
#
# GATEHOUSE_DATABASE_URL names a database of the caller's. Equal to what gatehouse.env says, it
# means what this installation already has (a script that sources gatehouse.env changes nothing).

database_choose() {
    gh_database=private
    local before=''
    if [ -s "$gh_home/database" ]; then before=$(<"$gh_home/database"); fi
    if [ -n "${GATEHOUSE_DATABASE_URL:-}" ] &&
        [ "$GATEHOUSE_DATABASE_URL" != "$(environment_value GATEHOUSE_DATABASE_URL)" ]; then
        gh_database=external
    elif [ -n "${GATEHOUSE_DATABASE_URL:-}" ]; then
        gh_database=${before:-private}
    fi
    if [ -n "$before" ] && [ "$before" != "$gh_database" ]; then
        die $EXIT_USAGE "The installation in $gh_home began with the $before database and would now" \
            "get the $gh_database one; set GATEHOUSE_DATABASE_URL as it was, or choose another" \
            "GATEHOUSE_HOME."
    fi
}

database_is_private() { [ "$gh_database" = private ]; }

database_start() {
    if database_is_private; then
        postgres_start
        gh_run_url=$(postgres_url run)
        gh_owner_url=$(postgres_url owner)
    else
        gh_run_url=$GATEHOUSE_DATABASE_URL
        gh_owner_url=${GATEHOUSE_DATABASE_OWNER_URL:-$GATEHOUSE_DATABASE_URL}
        database_check "$gh_run_url" GATEHOUSE_DATABASE_URL
        if [ "$gh_owner_url" != "$gh_run_url" ]; then
            database_check "$gh_owner_url" GATEHOUSE_DATABASE_OWNER_URL
        fi
    fi
    printf '%s\n' "$gh_database" >"$gh_home/database"
}

# database_check URL VARIABLE: a connection within five seconds, or a sentence. The control plane's
# program connects, because psql takes a URL only as an argument, and a URL may hold a password.
database_check() {
    local said
    said=$(owner_run_with "$gh_place/bin/gatehouse-controlplane" --check-database 2>&1 \
        3< <(printf 'GATEHOUSE_MASTER_KEY_FILE=none\0GATEHOUSE_DATABASE_URL=%s\0' "$1")) ||
        {
            said=${said%%$'\n'*}
            die $EXIT_DATABASE "The database of $2 cannot be reached: ${said#gatehouse-controlplane: }"
        }
}
