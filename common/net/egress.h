/*
 * egress — the rule of connections that go out: which addresses an upstream may resolve to.
 *
 * Checked at connect time on every resolved address (security.md, What goes out). Private,
 * link-local, loopback, ULA, CGNAT, multicast, unspecified and mapped forms of them are
 * refused unless the object carries a CIDR that an owner allowed. Cloud metadata addresses
 * (169.254.169.254, fd00:ec2::254, 169.254.170.2, 100.100.100.200, …) are always refused, but to
 * the fetch of the gateway's own credential, whose response reaches no client.
 *
 * Threads  any; pure.
 */
#pragma once

#include "common/net/address.h"

struct egress_rule {
    const struct cidr *allowed;
    size_t allowed_count;
};

/* ERR_DENIED: may not be connected to */
MUST_USE enum err egress_check(const struct egress_rule *rule, const union sockaddr_any *a);
/* The same for such a fetch: a metadata address is allowed too, where an owner named it alone, with
 * all its bits. */
MUST_USE enum err egress_check_own(const struct egress_rule *rule, const union sockaddr_any *a);
/* one of those that no upstream may have */
bool egress_is_metadata(const union sockaddr_any *a);
