/* admin_problem — the rows of the table. */
#include "controlplane/api/admin_problem.h"

#include "common/base/err.h"

const struct problem_row *problem_row(enum problem_id id)
{
    static const struct problem_row rows[] = {
#define PROBLEM_ROW(name, status, code, when) {status, code, when},
        PROBLEM_TABLE(PROBLEM_ROW)
#undef PROBLEM_ROW
    };
    MUST(id < PROBLEM_COUNT);
    return &rows[id];
}
