/*
 * shipper — sends journals to the control plane, in order, until it acknowledges them as committed.
 *
 * A journal's records are sent every 150 ms, or at once where they fill a batch, where space in the
 * ring is short, and while the plane drains. One batch per journal is under way: of 256 KiB, so
 * that making it does not hold up the worker on the same core, and of a MiB where the control plane
 * does not keep up. Journals of earlier starts are replayed first and removed once all is
 * committed; then their epochs are reported as finished, and the control plane frees what their
 * leases held back.
 *
 * Owns     the journals of this start and of earlier ones.
 * Threads  the main thread's; journals' writers are the workers'.
 */
#pragma once

#include "common/journal/journal.h"
#include "common/net/loop.h"
#include "common/wire/control_link.h"

struct shipper;

struct shipper_config {
    const char *dir;
    uint64_t epoch;
    unsigned workers;
    size_t journal_bytes;
};

/* links: the plane's; after_turns is not used */
MUST_USE enum err shipper_new(struct loop *l, const struct shipper_config *c,
                              const struct control_link *links, struct shipper **ret);
void shipper_free(struct shipper *s); /* files stay where something is left in them */
struct journal *shipper_journal(struct shipper *s, unsigned worker);
void shipper_hurry(struct shipper *s); /* ship now: just connected, or draining */
/* The workers have stopped and write no more: their journals are tended by the shipper from now on.
 */
void shipper_inherit(struct shipper *s);
bool shipper_is_empty(const struct shipper *s);

struct shipper_counts {
    uint64_t waiting, dropped, folded, lost;
};
void shipper_counts(const struct shipper *s, struct shipper_counts *ret); /* any thread */
