# postgres: the private cluster. PostgreSQL 15 on loopback, passwords by SCRAM, no Unix socket (its
# path would be limited to 107 bytes, and every client can use TCP).

readonly POSTGRES_BIN=/usr/lib/postgresql/15/bin

postgres_folder() { printf '%s/postgres/15' "$gh_place"; }

postgres_init() {
    local folder
    folder=$(postgres_folder)
    user_run "$gh_user_db" test -e "$folder/PG_VERSION" && return 0
    step "Creating the private PostgreSQL cluster in $folder"
    secret_make postgres.password
    # beside, then renamed: an interrupted initdb leaves nothing that looks like a cluster
    user_run "$gh_user_db" rm -rf "$folder.new"
    # initdb may not read the owner's file, nor open a pipe of another user: it gets a copy
    owner_read "$gh_place/secrets/postgres.password" | user_write "$gh_user_db" "$folder.password" 600
    user_run "$gh_user_db" "$POSTGRES_BIN/initdb" -D "$folder.new" --username=postgres \
        --pwfile="$folder.password" --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 \
        >"$gh_setup/initdb.log" 2>&1 || {
        user_run "$gh_user_db" rm -f "$folder.password"
        show_end_of "$gh_setup/initdb.log"
        die $EXIT_DATABASE 'initdb failed.'
    }
    user_run "$gh_user_db" rm -f "$folder.password"
    user_run "$gh_user_db" mv "$folder.new" "$folder"
}

# All settings that differ from PostgreSQL's defaults.
postgres_settings() {
    cat <<END
listen_addresses=127.0.0.1
port=$1
unix_socket_directories=
max_connections=60
shared_buffers=128MB
max_wal_size=512MB
timezone=UTC
log_timezone=UTC
log_line_prefix=%m [%p] %q%u@%d 
cluster_name=gatehouse
END
}

postgres_lines() {
    printf 'env LANG=C.UTF-8\nenv PATH=/usr/bin:/bin\n'
    printf 'arg %s\narg -D\narg %s\n' "$POSTGRES_BIN/postgres" "$(postgres_folder)"
    postgres_settings "$(port_of postgres)" | sed 's/^/arg -c\narg /'
}

# INT sends clients away and keeps what is committed.
postgres_entry() { process_write 10 postgres 60 INT < <(postgres_lines); }

postgres_answers() {
    owner_run "$POSTGRES_BIN/pg_isready" -q -h 127.0.0.1 -p "$(port_of postgres)"
}

postgres_start() {
    postgres_init
    postgres_entry
    processes_apply
    process_wait postgres 60 postgres_answers
    postgres_roles
}

postgres_passwords() {
    printf 'PGPASSWORD=%s\0' "$(owner_read "$gh_place/secrets/postgres.password")"
    printf 'OWNER_PASSWORD=%s\0' "$(owner_read "$gh_place/secrets/owner.password")"
    printf 'RUN_PASSWORD=%s\0' "$(owner_read "$gh_place/secrets/run.password")"
}

# The owner migrates; the run role has no DDL, and the migrations say what it may do with each
# table. The passwords are in psql's environment, never in an argument or a log.
postgres_roles() {
    secret_make owner.password
    secret_make run.password
    owner_run_with "$POSTGRES_BIN/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 \
        -p "$(port_of postgres)" -U postgres -d postgres -f - <"$gh_root/deploy/lib/roles.sql" \
        >"$gh_setup/roles.log" 2>&1 3< <(postgres_passwords) || {
        show_end_of "$gh_setup/roles.log"
        die $EXIT_DATABASE 'The database and its roles could not be created.'
    }
}

# postgres_url ROLE
postgres_url() {
    printf 'postgresql://gatehouse_%s:%s@127.0.0.1:%s/gatehouse' "$1" \
        "$(owner_read "$gh_place/secrets/$1.password")" "$(port_of postgres)"
}
