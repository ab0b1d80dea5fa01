/* descriptors — raises the soft limit to the hard one and divides it. */
#include "dataplane/descriptors.h"

#include <sys/resource.h>

#include "common/base/limits.h"

#define UNKNOWN 1024 /* what a process may open where no limit is set */

uint64_t descriptors_raise(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return UNKNOWN;
    struct rlimit more = {files.rlim_max, files.rlim_max};
    return setrlimit(RLIMIT_NOFILE, &more) ? files.rlim_cur : more.rlim_cur;
}

size_t descriptors_for_clients(uint64_t all, uint64_t workers)
{
    uint64_t each = all / 100 * LIMIT_CLIENT_DESCRIPTORS / workers;
    if (each > LIMIT_CONNECTIONS)
        return LIMIT_CONNECTIONS;
    return each ? (size_t)each : 1;
}
