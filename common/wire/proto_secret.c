/* proto_secret — the usable size of a block may exceed the requested size, and all of it is wiped.
 */
#include "common/wire/proto_secret.h"

#include <malloc.h>

#include "common/base/mem.h"
#include "common/base/secret.h"

static void *take(void *arg UNUSED, size_t size)
{
    return mem_alloc(size);
}

static void give_back(void *arg UNUSED, void *ptr)
{
    if (ptr)
        secret_wipe(ptr, malloc_usable_size(ptr));
    mem_free(ptr);
}

ProtobufCAllocator proto_secret = {.alloc = take, .free = give_back};
