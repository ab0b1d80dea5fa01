/*
 * passthrough — paths of a provider's own API that no dialect of the AI gate models.
 *
 * `/passthrough/{provider}/…`: the provider by its name, the rest as it stands below its base URL,
 * opened by grants of method and path and by nothing else. The credential is the provider's, put in
 * as it wants it; the client's never goes on. Bodies stream both ways. Where the path is one that
 * the provider's own dialect has, the body is read too, so that a model is bounded and a budget
 * holds: the call is billed by the usage that its response reports. All else is counted in bytes.
 *
 * Threads  its worker's loop.
 */
#pragma once

#include "common/request/request.h"

extern const struct gate passthrough_gate;
