# owner: the unprivileged user that owns an installation.
#
# A caller that is not root is the owner. With sudo in a clone that the caller owns, root installs
# the packages and the caller is the owner. Otherwise the owner is the system user `gatehouse`,
# which root creates when it is first needed. The owner of an installation never changes.

# The user id that owns the installation, or will own it.
owner_uid() {
    if [ -d "$gh_home" ]; then
        stat -c %u "$gh_home"
    elif [ "${SUDO_UID:-0}" = "$(stat -c %u "$gh_root")" ]; then
        printf '%s' "${SUDO_UID:-0}"
    else
        printf 0
    fi
}

is_owned_by_another_user() { [ "$EUID" -eq 0 ] && [ "$(owner_uid)" != 0 ]; }

# owner_become VERB OPTION...: root that works on another user's installation goes on as that user.
owner_become() {
    local uid entry
    is_owned_by_another_user || return 0
    uid=$(owner_uid)
    entry=$(getent passwd "$uid") ||
        die $EXIT_FAILED "$gh_home belongs to the user id $uid, which this machine does not know."
    exec setpriv --reuid="$uid" --regid="$(cut -d: -f4 <<<"$entry")" --init-groups \
        env -u SUDO_UID HOME="$(cut -d: -f6 <<<"$entry")" USER="${entry%%:*}" \
        "$gh_root/gatehouse" "$@"
}

owner_choose() {
    local owner=''
    if [ -d "$gh_place/run" ]; then owner=$(stat -c %U "$gh_place/run"); fi
    if [ "$EUID" -ne 0 ]; then
        gh_owner=$(id -un)
        if [ -n "$owner" ] && [ "$owner" != "$gh_owner" ]; then
            die $EXIT_FAILED "$gh_home was not set up by $gh_owner; use root or sudo."
        fi
    elif [ -n "$owner" ] && [ "$owner" != root ] && [ "$owner" != UNKNOWN ]; then
        gh_owner=$owner
    else
        gh_owner=gatehouse
    fi
}

owner_make() {
    getent passwd "$gh_owner" >/dev/null && return 0
    useradd --system --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin "$gh_owner" ||
        die $EXIT_FAILED "The system user $gh_owner could not be created."
    note "created the system user $gh_owner; nothing of Gatehouse runs as root"
}

# owner_run COMMAND...: as that user, with a bare environment: no API key and no proxy of the
# caller reaches the process.
owner_run() { user_run "$gh_owner" "$@"; }

user_run() {
    local user=$1 bare=(env -i -C / PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/nonexistent)
    shift
    if [ "$EUID" -eq 0 ]; then
        setpriv --reuid="$(id -u "$user")" --regid="$(id -g "$user")" --init-groups \
            --inh-caps=-all --no-new-privs "${bare[@]}" "$@"
    else
        "${bare[@]}" "$@"
    fi
}

# owner_run_with COMMAND...: the same with more variables, read from descriptor 3 as NAME=VALUE,
# each ended by NUL. Every user of the machine can read the arguments of a process, only its own
# user can read its environment: a secret is passed this way, never as an argument of `env`.
owner_run_with() {
    # shellcheck disable=SC2016
    owner_run bash -c 'while IFS= read -r -d "" variable; do export "$variable"; done <&3
        exec 3<&-
        exec "$@"' owner_run_with "$@"
}

# owner_write FILE MODE <TEXT: the file is written completely or not at all. The owner writes it, so
# that a symbolic link in one of its folders cannot make root write to another file.
owner_write() { user_write "$gh_owner" "$@"; }

user_write() {
    # shellcheck disable=SC2016
    user_run "$1" sh -c 'umask 077 && cat >"$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"' \
        write "$2" "$3"
}

owner_read() { owner_run cat "$1"; }

owner_has() { owner_run test -s "$1"; }

# 32 random bytes as 64 hex digits
random_hex() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
