# objects: admin objects that `up` keeps as it wants them: made where they are missing, changed where
# what is wanted has changed, otherwise not touched (each change would be an audit record). What
# somebody else made under one of these names is theirs. Every write waits until the data planes
# apply it: what `up` prints at its end works at once.

# What was made here, as it was last applied: "KIND NAME ID DIGEST", a line an object. Before it is
# made it stands there as "KIND NAME - -": an `up` that is ended in between finds its own again.
objects_file() { printf '%s/run/objects' "$gh_place"; }

objects_read() { person_read "$(objects_file)" 2>/dev/null || true; }

object_field() {
    objects_read | awk -v kind="$1" -v name="$2" -v field="$3" '$1 == kind && $2 == name { print $field }'
}

object_remember() {
    {
        objects_read | awk -v kind="$1" -v name="$2" '$1 != kind || $2 != name'
        printf '%s %s %s %s\n' "$1" "$2" "$3" "$4"
    } | person_write "$(objects_file)" 600
}

# object KIND NAME JSON: NAME is ours to remember it by; where the kind has names, it is its name.
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

# object_find KIND NAME: what to call it by in the API where it is ours, `theirs`, or `missing`. One of
# ours that somebody deleted is missing, unless they made another of its name.
object_find() {
    local kind=$1 name=$2 id
    id=$(object_field "$kind" "$name" 3)
    if [ -n "$id" ] && [ "$id" != - ] && object_is_there "$kind" "$id"; then
        printf '%s' "$id"
    elif ! object_is_there "$kind" "$name"; then
        printf missing
    elif [ "$id" = - ]; then
        printf '%s' "$name"
    else
        printf theirs
    fi
}

object_is_there() {
    admin GET "/admin/v1/$1/$2" || true
    case $admin_status in
    200) return 0 ;;
    404) return 1 ;;
    *)
        die $EXIT_START \
            "The control plane does not say whether it has $1/$2 (status $admin_status): $admin_body"
        ;;
    esac
}
