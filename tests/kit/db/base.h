/*
 * base — the one database of a test program, made before its first test and dropped after its last.
 *
 *   return cmocka_run_group_tests(tests, base_open, base_close);
 *
 * A program that needs more opens and closes it in a setup of its own.
 *
 * Owns     see tests/kit/db/database.h.
 * Threads  setup and teardown: main.
 */
#pragma once

#include "tests/kit/db/database.h"

extern struct database base;

int base_open(void **state);
int base_close(void **state);
