/*
 * kept_list — what an owner has at providers, asked of the control plane: one page of it.
 *
 * Providers list what an account has, whoever of its users made it. So calls that make, see or
 * delete a file or a batch say so in their records (JournalRecord.kept), the control plane keeps
 * whose it is, and a data plane that is asked for a list asks for the owner's.
 *
 *   struct kept_list *l = kept_list_new(); … l->ask …
 *   env->ask_kept(env->ask_kept_arg, l)   →   l->done(l) on this worker's loop, once
 *
 * Owns     itself: one heap object that travels between threads; the one that is given it by `done`
 *          frees it.
 * Fails    `error`, when it is done: ERR_CLOSED (no control plane is there), ERR_NOT_FOUND (the
 *          object to go on from is none of this owner's), ERR_DATABASE, ERR_PROTOCOL (a control
 *          plane that knows no lists), ERR_TIMEOUT, ERR_NOMEM.
 * Threads  one at a time; `arg` is the worker's own, and may be cleared there while it is away.
 */
#pragma once

#include "common/base/id.h"
#include "common/base/slice.h"

#define KEPT_LIST_MAX 100   /* objects of a page */
#define KEPT_OBJECT_MAX 256 /* bytes of an id at its provider, with a NUL */
#define KEPT_ACCOUNT_MAX 16
#define KEPT_KIND_MAX 8

struct kept_object {
    char account[KEPT_ACCOUNT_MAX];
    char id[KEPT_OBJECT_MAX];
};

struct kept_list {
    /* what is asked */
    char owner[ID_MAX];
    char kind[KEPT_KIND_MAX];
    struct kept_object after; /* id "": from the beginning */
    bool ascending;
    unsigned limit;
    /* what is found */
    enum err error;
    bool more;
    size_t count;
    struct kept_object objects[KEPT_LIST_MAX];
    /* whose it is */
    unsigned worker;
    void (*done)(struct kept_list *l); /* frees it, sooner or later */
    void *arg;                         /* NULL: its call has ended, and done only frees it */
};
