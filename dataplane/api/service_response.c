/*
 * service_response — what of a service's response its client gets.
 */
#include "common/request/forward_headers.h"
#include "dataplane/api/api_gate_private.h"

/* 407 requests a credential for the next hop. For the service that is the gateway; a client would
 * take it for its own proxy. */
#define PROXY_CREDENTIAL_REQUIRED 407

static const struct api_work *work_of(const struct relay *r)
{
    return CONTAINER_OF(r, const struct api_work, relay);
}

/* 403 is about what was requested; the others are about the credential, which is the gateway's. */
static bool is_failure(const struct relay *r, unsigned status)
{
    return status >= 500 || status == PROXY_CREDENTIAL_REQUIRED ||
           (work_of(r)->service->credential && status == 401);
}

static bool passes(const struct relay *r, struct slice name)
{
    return forward_response_header(name, work_of(r)->service->set_cookie);
}

static bool on_head(struct relay *r, const struct http_head *head)
{
    if (is_failure(r, head->status))
        exchange_log_status(r->exchange);
    if (head->status != PROXY_CREDENTIAL_REQUIRED)
        return true;
    relay_fail(r, REFUSAL_UPSTREAM, SLICE("it asks for a proxy's credential"), SLICE("status_407"));
    return false;
}

const struct relay_hooks api_relay_hooks = {.passes = passes, .on_head = on_head};
