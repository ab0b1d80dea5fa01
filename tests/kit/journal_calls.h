/* journal_calls — calls of a journal as messages, for tests: the product packs them itself. */
#pragma once

#include <stdint.h>
#include <string.h>

#include "common/journal/journal_private.h"
#include "proto/usage.pb-c.h"

static inline enum err kit_open_call(struct journal *j, const Gatehouse__JournalRecord *m,
                                     struct journal_entry *ret)
{
    uint8_t packed[16 * 1024], id[JOURNAL_CALL_ID] = {0};
    MUST(gatehouse__journal_record__get_packed_size(m) <= sizeof(packed));
    size_t len = gatehouse__journal_record__pack(m, packed);
    if (m->call_id.len == sizeof(id))
        memcpy(id, m->call_id.data, sizeof(id));
    return journal_open_packed(j, slice_of(packed, len), id, ret);
}

static inline enum err kit_close_call(struct journal *j, const Gatehouse__JournalRecord *m,
                                      struct journal_entry *entry)
{
    uint8_t packed[16 * 1024];
    MUST(gatehouse__journal_record__get_packed_size(m) <= sizeof(packed));
    size_t len = gatehouse__journal_record__pack(m, packed);
    return journal_close_packed(j, slice_of(packed, len), entry);
}
