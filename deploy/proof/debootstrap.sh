#!/usr/bin/env bash
# debootstrap: the promise of the README, tried on a machine that has nothing.
#
#   deploy/proof/debootstrap.sh [--test] [--clone PATH] [--keep]
#
# Makes a minimal Debian 12, puts a clean clone of HEAD into it, and does there what a newcomer
# does: `./gatehouse up`, the printed curl commands as they are, the session's spans, `up` again,
# `status`, with --test also `./gatehouse test`, and `down`, after which nothing may run. Prints
# how long each took. Needs root, git and debootstrap; takes the package sources of this machine.
#
# --clone PATH   where the clone lies inside (default /root/gatehouse, which only root can reach)
# --keep         leaves the Debian where it is
set -euo pipefail

root=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
clone=/root/gatehouse with_test=no keep=no
arguments=("$@")
while [ $# -gt 0 ]; do
    case $1 in
    --test) with_test=yes ;;
    --keep) keep=yes ;;
    --clone) clone=$2 && shift ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" && exit 2 ;;
    esac
    shift
done

# The script has its own mount and process namespaces: mounts and processes end with it.
if [ "${GATEHOUSE_PROOF:-}" != inside ]; then
    exec env GATEHOUSE_PROOF=inside unshare --mount --pid --fork --kill-child -- "$0" "${arguments[@]}"
fi

failed=0
times=()
now() { date +%s%N; }

# timed NAME COMMAND...
timed() {
    local name=$1 started code=0
    shift
    started=$(now)
    "$@" || code=$?
    times+=("$(printf '%-28s %7.1f s' "$name" "$(seconds $(($(now) - started)))")")
    return $code
}

seconds() { awk -v ns="$1" 'BEGIN { printf "%.1f", ns / 1e9 }'; }

check() {
    local what=$1
    shift
    if "$@"; then
        echo "ok      $what"
    else
        echo "FAILED  $what"
        failed=$((failed + 1))
    fi
}

folder=$(mktemp -d /var/tmp/gatehouse-proof.XXXXXX)
debian=$folder/debian
clean() {
    umount -R "$debian/dev" "$debian/proc" 2>/dev/null || true
    [ "$keep" = yes ] || rm -rf --one-file-system "$folder"
}
trap clean EXIT

make_debian() {
    local mirror
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' \
        'Codename: bookworm' | head -n 1)
    debootstrap --variant=minbase bookworm "$debian" "${mirror:?no bookworm among the apt sources}" \
        >"$folder/debootstrap.log" 2>&1 || { tail "$folder/debootstrap.log"; return 1; }
}

# The sources and proxies of this machine, as they are at this moment.
lend_settings() {
    rm -rf "$debian/etc/apt"
    cp -a /etc/apt "$debian/etc/apt"
    cp -L /etc/resolv.conf /etc/hosts "$debian/etc/"
    mount -t proc proc "$debian/proc"
    mount --rbind /dev "$debian/dev"
    if [ -r "${NODE_EXTRA_CA_CERTS:-}" ]; then cp -L "$NODE_EXTRA_CA_CERTS" "$debian/etc/extra-ca.crt"; fi
}

# inside COMMAND...: in the clone, as root, without a terminal, with next to no environment
inside() {
    local set=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root) name
    for name in http_proxy https_proxy no_proxy GATEHOUSE_PORT_BASE; do
        if [ -n "${!name:-}" ]; then set+=("$name=${!name}"); fi
    done
    if [ -e "$debian/etc/extra-ca.crt" ]; then
        set+=(NODE_EXTRA_CA_CERTS=/etc/extra-ca.crt npm_config_cafile=/etc/extra-ca.crt)
    fi
    # shellcheck disable=SC2016
    env -i "${set[@]}" chroot "$debian" /bin/bash -c 'cd "$1" && shift && "$@"' inside "$clone" "$@" \
        </dev/null
}

show_up() { inside ./gatehouse up 2>&1 | tee "$folder/up.log"; }

# The n-th command that `up` printed, as it was printed.
printed() { grep '^  curl ' "$folder/up.log" | sed -n "$1p"; }

response_has() {
    local response
    response=$(inside bash -c "$(printed "$1")")
    shift
    local word
    for word in "$@"; do
        grep -qF "$word" <<<"$response" || { printf '%.2000s\n' "$response"; return 1; }
    done
}

# Spans travel from the data plane to the database; two seconds are plenty.
spans_show_all_gates() {
    local tries
    for ((tries = 0; tries < 20; tries++)); do
        if response_has 4 '"ai"' '"tool"' '"api"' >/dev/null; then return 0; fi
        sleep 0.1
    done
    response_has 4 '"ai"' '"tool"' '"api"'
}

# Everything in this PID namespace that is not this script's own.
others() {
    local folder pid
    for folder in /proc/[0-9]*; do
        pid=${folder#/proc/}
        if [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] &&
            [ "$(readlink "$folder/root")" = "$debian" ]; then
            tr '\0' ' ' <"$folder/cmdline"
            echo
        fi
    done
}

nothing_runs() {
    local left
    left=$(others)
    [ -z "$left" ] || { echo "$left"; return 1; }
}

something_runs() { [ -n "$(others)" ]; }

main() {
    mount -t proc proc /proc
    echo "A minimal Debian 12 in $debian"
    timed debootstrap make_debian
    lend_settings
    git -c safe.directory='*' clone -q --no-hardlinks "$root" "$debian$clone"

    timed './gatehouse up' show_up
    check 'the AI gate answers' response_has 1 '"choices"'
    check 'the tool gate answers' response_has 2 'Hello'
    check 'the API gate answers' response_has 3 '"id"'
    check 'the session shows all three' spans_show_all_gates
    timed './gatehouse up, again' inside ./gatehouse up >"$folder/again.log" 2>&1 ||
        { cat "$folder/again.log"; failed=$((failed + 1)); }
    check 'status says that all is well' inside ./gatehouse status
    if [ "$with_test" = yes ]; then
        check './gatehouse test' timed './gatehouse test' inside env CI=true ./gatehouse test
    fi
    check 'processes are seen while they run' something_runs
    timed './gatehouse down' inside ./gatehouse down
    check 'down leaves no process' nothing_runs

    echo
    printf '%s\n' "${times[@]}"
    echo "$failed checks failed."
    [ $failed = 0 ]
}

main
