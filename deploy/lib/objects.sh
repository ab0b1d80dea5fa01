# objects: admin objects that `up` keeps as it wants them: made where they are missing, changed where
# what is wanted has changed, otherwise not touched (each change would be an audit record). Every write waits until the
# data planes apply it: what `up` prints at its end works at once.

# What was last applied: "KIND NAME ID DIGEST", a line an object.
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

# object KIND NAME JSON: NAME is ours to remember it by; where the kind has names, it is its name
object() {
    local kind=$1 name=$2 body=$3 id digest
    id=$(object_field "$kind" "$name" 3)
    digest=$(sha256sum <<<"$body" | cut -c1-32)
    admin GET "/admin/v1/$kind/${id:-$name}" || true
    if [ "$admin_status" = 200 ]; then
        if [ "$(object_field "$kind" "$name" 4)" = "$digest" ]; then return 0; fi
        admin_must PATCH "/admin/v1/$kind/${id:-$name}?wait=applied" "$body"
    else
        admin_must POST "/admin/v1/$kind?wait=applied" "$body"
    fi
    object_remember "$kind" "$name" "$(admin_text id)" "$digest"
}
