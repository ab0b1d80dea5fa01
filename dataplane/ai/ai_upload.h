/*
 * ai_upload — a form with a file, sent to its target as it comes from the client.
 *
 * filter_body gathers the front of the form. Where the dialect finds in it what must be known (the
 * model, or a file's purpose), the rest streams: the client is read no faster than the target takes
 * it, and what is held of the form is its front and what a stream holds.
 *
 * The front is sent to each target that is tried. Once more than the front was taken from the
 * client those bytes are gone, and the call has the target that it has: its failure is the call's.
 *
 * What comes behind the front is walked through before it goes on (form.h). A part that must not
 * stand there, or a form that is none, ends the call before the target has all of it.
 *
 * Owns     nothing beyond the call: it lies in the request's arena.
 * Threads  its worker's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

struct ai_upload;

uint64_t ai_upload_max(const struct request *rq);
/* As gate.front_max and gate.front_is_enough; sets c->upload. */
uint64_t ai_upload_front_max(const struct request *rq);
bool ai_upload_begin(struct ai_call *c);

/* What the exchange is told of a request whose front becomes these pieces. */
void ai_upload_describe(const struct ai_call *c, const struct slice *pieces,
                        struct http_call_spec *spec);
/* Sends the front, and lets the client go on. On an error the exchange is still open. */
MUST_USE enum err ai_upload_send_front(struct ai_call *c, const struct slice *pieces);
/* The exchange takes more. */
void ai_upload_go_on(struct ai_call *c);
/* No exchange is there to take it. */
void ai_upload_hold(struct ai_call *c);
/* Something was taken from the client that is not kept. */
bool ai_upload_is_lost(const struct ai_call *c);

enum ai_upload_result {
    AI_UPLOAD_ON,
    AI_UPLOAD_WRONG, /* request_refuse has said why: the call is to be finished */
};
enum ai_upload_result ai_upload_take(struct ai_call *c, struct slice piece);
enum ai_upload_result ai_upload_end(struct ai_call *c);
