/* base — implements base.h. */
#include "tests/kit/db/base.h"

struct database base;

int base_open(void **state UNUSED)
{
    database_open(&base);
    return 0;
}

int base_close(void **state UNUSED)
{
    database_close(&base);
    return 0;
}
