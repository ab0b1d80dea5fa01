/*
 * fuzz_fold_call — a packed record as the journal folds it: what is read as one call is sound, has
 * its charges in its key, and packs into a record that is read as the same.
 */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/journal/fold_call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static alignas(max_align_t) char scratch[FOLD_SCRATCH];
    static char record[FOLD_RECORD_MAX];
    static struct fold_call first, again;
    if (fold_call_read(slice_of(data, size), scratch, &first))
        return 0;
    must(fold_call_is_sound(&first), "sound");
    must(first.charges <= FOLD_CHARGES && first.key_len <= FOLD_KEY_MAX, "bounds");
    must(fold_call_charges(&first) == first.charges, "charges");
    struct slice packed = fold_call_pack(&first, record);
    must(packed.len > 0 && packed.len <= sizeof(record), "packed");
    must(!fold_call_read(packed, scratch, &again), "read again");
    must(again.key_len == first.key_len && !memcmp(again.key, first.key, first.key_len), "the key");
    must(again.sums.cost == first.sums.cost && again.sums.calls == first.sums.calls &&
             !memcmp(again.sums.tokens, first.sums.tokens, sizeof(first.sums.tokens)) &&
             !memcmp(again.sums.amounts, first.sums.amounts, sizeof(first.sums.amounts)),
         "the sums");
    return 0;
}
