/*
 * fuzz_usage_batch — what a plane may send as a batch: any block of any said length is unfolded or
 * refused, and never beyond USAGE_BATCH_MAX.
 *
 * The first four bytes are the length it says, the rest is the block.
 */
#include "common/wire/usage_batch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Gatehouse__UsageBatch m = GATEHOUSE__USAGE_BATCH__INIT, *opened;
    if (size < sizeof(m.packed_from))
        return -1;
    memcpy(&m.packed_from, data, sizeof(m.packed_from));
    m.has_packed = m.has_packed_from = true;
    m.packed = (ProtobufCBinaryData){size - sizeof(m.packed_from),
                                     (uint8_t *)(uintptr_t)data + sizeof(m.packed_from)};
    if (usage_batch_open(&m, &opened) == ERR_OK) {
        MUST(gatehouse__usage_batch__get_packed_size(opened) <= 4 * (size_t)USAGE_BATCH_MAX);
        usage_batch_free(opened);
    }
    return 0;
}
