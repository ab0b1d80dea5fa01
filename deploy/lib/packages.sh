# packages: finds and installs the Debian packages of deploy/packages.txt.

packages_of() {
    local section
    for section in "$@"; do
        awk -v section="[$section]" '
            { sub(/#.*/, ""); gsub(/[ \t]/, "") }
            /^\[/ { inside = ($0 == section); next }
            inside && $0 != "" { print }' "$gh_root/deploy/packages.txt"
    done
}

packages_missing() {
    local wanted
    wanted=$(packages_of "$@")
    command -v dpkg-query >/dev/null || { printf '%s\n' "$wanted"; return; }
    # shellcheck disable=SC2086
    comm -23 <(sort -u <<<"$wanted") <(
        # dpkg-query fails where it knows none or not all of them: those are what is missing
        { dpkg-query -W -f '${Package} ${db:Status-Status}\n' $wanted 2>/dev/null || true; } |
            awk '$2 == "installed" { print $1 }' | sort -u)
}

# packages_need SECTION...
packages_need() {
    packages_install "$(packages_missing "$@")"
}

# packages_as_root COMMAND...: for root that goes on as another user afterwards. The log is not
# written into a folder of that user
packages_as_root() {
    local kept=${gh_setup:-}
    gh_setup=$(mktemp -d)
    "$@"
    rm -rf "$gh_setup"
    gh_setup=$kept
}

packages_install() {
    local missing=$1 log=$gh_setup/packages.log
    [ -n "$missing" ] || return 0
    local names
    names=$(tr '\n' ' ' <<<"$missing")
    names=${names% }
    command -v apt-get >/dev/null ||
        die $EXIT_PACKAGE "These packages are missing and there is no apt-get here: $names"
    local root=()
    if [ "$EUID" -ne 0 ]; then
        root=(sudo)
        [ -t 0 ] || root=(sudo -n)
        "${root[@]}" true 2>/dev/null || die $EXIT_PACKAGE \
            "Only root can install the missing packages; run this as root or with sudo: $names"
    fi
    step "Installing packages: $names"
    # shellcheck disable=SC2024
    "${root[@]}" apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 update \
        >"$log" 2>&1 || warn "apt-get update failed; trying with the lists that are there."
    packages_check "$missing"
    packages_without_cluster "${root[@]}"
    # shellcheck disable=SC2086
    if ! "${root[@]}" env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 \
        apt-get -q -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 -o APT::Status-Fd=3 \
        --no-install-recommends install $missing 3>&1 >>"$log" 2>&1 </dev/null |
        packages_progress | show_progress; then
        packages_with_cluster "${root[@]}"
        show_end_of "$log"
        die $EXIT_PACKAGE "apt-get could not install them: $(packages_complaint "$log")"
    fi
    packages_with_cluster "${root[@]}"
}

# apt's status lines are `dlstatus:ITEM:PERCENT:TEXT` while it fetches, then `pmstatus:…`.
packages_progress() {
    awk -F: '$1 == "dlstatus" || $1 == "pmstatus" {
        text = $4; for (i = 5; i <= NF; i++) text = text ":" $i
        printf "%d %s\n", $3, text; fflush() }'
}

packages_complaint() { grep -h '^E: ' "$1" | tail -n 1 | sed 's/^E: //'; }

# Simulates the installation first, so that an unknown name is reported before anything is
# installed.
packages_check() {
    local plan=$gh_setup/packages.plan
    # shellcheck disable=SC2086
    if ! LC_ALL=C apt-get -s -q --no-install-recommends install $1 >"$plan" 2>&1; then
        cat "$plan" >>"$gh_setup/packages.log"
        show_end_of "$plan" 6
        die $EXIT_PACKAGE "A package cannot be had: $(packages_complaint "$plan")" \
            "Gatehouse needs Debian 12 (bookworm) with its main archive in the apt sources."
    fi
}

# Debian's PostgreSQL creates and starts a cluster when it is installed. Gatehouse has its own
# cluster, so this is switched off during the installation on a machine that has no PostgreSQL
# yet.
packages_without_cluster() {
    [ -e /etc/postgresql-common ] && return 0
    "$@" mkdir -p /etc/postgresql-common/createcluster.d
    printf 'create_main_cluster = false\n' |
        "$@" tee /etc/postgresql-common/createcluster.d/gatehouse.conf >/dev/null
}

packages_with_cluster() { "$@" rm -f /etc/postgresql-common/createcluster.d/gatehouse.conf; }
