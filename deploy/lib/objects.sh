# objects: the admin objects that `up` maintains. `up` makes an object that is missing, changes
# one whose wanted content has changed, and leaves the others alone (each change writes an audit
# record). It never changes an object that it did not make. Every write waits until the data
# planes have applied it, so that the commands which `up` prints work at once.

# The objects that `up` made, as it last applied them: a line "KIND NAME ID DIGEST" for each. The
# line is "KIND NAME - -" before the object is made, so that an interrupted `up` recognizes it
# later.
objects_file() { printf '%s/run/objects' "$gh_place"; }

objects_read() { owner_read "$(objects_file)" 2>/dev/null || true; }

object_field() {
    objects_read | awk -v kind="$1" -v name="$2" -v field="$3" '$1 == kind && $2 == name { print $field }'
}

object_remember() {
    {
        objects_read | awk -v kind="$1" -v name="$2" '$1 != kind || $2 != name'
        printf '%s %s %s %s\n' "$1" "$2" "$3" "$4"
    } | owner_write "$(objects_file)" 600
}

# object KIND NAME JSON: NAME identifies the object here; where the kind has names, it is its name.
# Sets object_is_ours to yes or no.
object() {
    local kind=$1 name=$2 body=$3 id digest
    object_is_ours=yes
    digest=$(sha256sum <<<"$body" | cut -c1-32)
    id=$(object_find "$kind" "$name")
    case $id in
    missing)
        object_remember "$kind" "$name" - -
        admin_must POST "/admin/v1/$kind?wait=applied" "$body"
        ;;
    theirs)
        object_is_ours=no
        note "$kind/$name is not of this command's making, and was left as it is"
        return
        ;;
    *)
        if [ "$(object_field "$kind" "$name" 4)" = "$digest" ]; then return 0; fi
        admin_must PATCH "/admin/v1/$kind/$id?wait=applied" "$body"
        ;;
    esac
    object_remember "$kind" "$name" "$(admin_text id)" "$digest"
}

# object_find KIND NAME: prints the object's id or name in the API if `up` made it, `theirs` if
# another caller made it, or `missing`. An object that `up` made and that was deleted since is
# missing, unless another caller made one of the same name.
object_find() {
    local kind=$1 name=$2 id
    id=$(object_field "$kind" "$name" 3)
    if [ -n "$id" ] && [ "$id" != - ] && object_is_there "$kind" "$id"; then
        printf '%s' "$id"
    elif ! object_is_there "$kind" "$name"; then
        printf missing
    elif [ "$id" = - ]; then
        printf '%s' "${name//\//%2F}"
    else
        printf theirs
    fi
}

object_is_there() {
    admin GET "/admin/v1/$1/${2//\//%2F}" || true
    case $admin_status in
    200) return 0 ;;
    404) return 1 ;;
    *)
        die $EXIT_START \
            "The control plane does not say whether it has $1/$2 (status $admin_status): $admin_body"
        ;;
    esac
}
