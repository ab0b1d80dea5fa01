/*
 * api_grants — a tool may appear later, so a grant may name a tool that its server does not
 * have. It grants nothing until then, and the view has a warning.
 */
#include "controlplane/api/api_grants.h"

#include "controlplane/store/store_tool.h"

static json_t *view_of(json_t *views, const char *id)
{
    json_t *view;
    size_t i;
    json_array_foreach(views, i, view)
    {
        if (strcmp(json_string_value(json_object_get(view, "id")), id) == 0)
            return view;
    }
    return NULL;
}

static void warn(json_t *view, int64_t place, const char *tool)
{
    json_t *list = json_object_get(view, "warnings");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(view, "warnings", list);
    }
    json_array_append_new(
        list,
        json_pack("{s:o,s:o}", "pointer", json_sprintf("/tools/%lld", (long long)place), "detail",
                  json_sprintf("the server lists no tool \"%s\": this opens nothing now", tool)));
}

enum err api_grants_show(struct tx *tx, json_t *views)
{
    JSON_AUTO json_t *ids = json_array();
    DB_AUTO struct db_result *r = NULL;
    struct buf text;
    json_t *view;
    size_t i;
    json_array_foreach(views, i, view) json_array_append(ids, json_object_get(view, "id"));
    buf_init(&text, 256 * 1024);
    enum err e = json_write(ids, &text);
    if (e == ERR_OK)
        e = store_tools_missing(tx, buf_slice(&text), &r);
    buf_fini(&text);
    for (i = 0; e == ERR_OK && i < db_rows(r); i++)
        if ((view = view_of(views, db_cstr(r, i, 0))) != NULL)
            warn(view, db_int(r, i, 1), db_cstr(r, i, 2));
    return e;
}
