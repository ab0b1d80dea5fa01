/*
 * ai_cost — what a call may cost before it is sent, and what it cost: what the provider counted,
 * else what we estimate (security.md, Money).
 *
 * Threads  the request's loop.
 */
#pragma once

#include "dataplane/ai/ai_call.h"

/* gate.worst_case. ERR_NOT_FOUND: the model has no price; ERR_INVALID: it cannot be bounded. */
enum err ai_worst_case(struct request *rq, money *ret);

/* What is left in the tightest of the request's budgets, what it has reserved itself included. */
money ai_cost_money_left(const struct request *rq);
/* Tokens of images, files and audio at most. */
uint64_t ai_cost_media_bound(const struct ai_prompt *p, struct slice model);

/* Tokens of the prompt where no target counts them, for AI_COUNT. */
uint64_t ai_cost_count_estimate(struct ai_call *c);

/* Reads the size of the prompt out of the body, unless that was done. */
void ai_cost_measure(struct ai_call *c);
/* The same at once: by the bytes of its text, without a look into it. */
uint64_t ai_cost_prompt_size(const struct ai_prompt *p);
uint64_t ai_cost_prompt_guess(const struct ai_call *c);

/* Tokens that the target is told to write at most, where a budget applies and the client named no
 * ceiling; 0: it is told nothing. */
uint64_t ai_cost_output_limit(const struct ai_call *c);

/* Has the stream reached what is reserved for it, and may it not go on? It is extended in time
 * where there is money. *waits: more was requested, and the stream should pause until that ends. */
bool ai_cost_is_used_up(struct ai_call *c, bool *waits);
/* Reserves the output that an attempt may have written unread, before the next one is sent.
 * ERR_AGAIN: gate.on_reserved will be called; else not ERR_OK: there is no money for another. */
MUST_USE enum err ai_cost_reserve_unread(struct ai_call *c);
/* Before the same candidate is tried again: the prompt of the attempt that failed, where it was
 * billed, has taken what was reserved for this one. ai_cost_reserve_unread follows. */
void ai_cost_again(struct ai_call *c);
/* The same before it is known: for a second attempt beside the one under way. */
MUST_USE enum err ai_cost_reserve_beside(struct ai_call *c);
/* A stream is ended once it has written as much as is reserved. */
bool ai_cost_is_limited(const struct ai_call *c);

/* What the attempt under way has cost, into the record. */
void ai_cost_reported(struct ai_call *c); /* c->usage; where that says too little, an estimate */
void ai_cost_counted(struct ai_call *c, const struct token_count *tokens);
void ai_cost_estimated(struct ai_call *c);

/* The same of an attempt that failed: it stays with the call, whatever the next one costs. */
void ai_cost_failed(struct ai_call *c); /* the prompt was read */
void ai_cost_failed_counted(struct ai_call *c, const struct token_count *tokens);
/* The upstream took the request, and its response broke off: it may have written all of it. */
void ai_cost_unread(struct ai_call *c);
/* We took the request back: nothing, or its prompt, as the provider is known to bill it. */
void ai_cost_cancelled(struct ai_call *c);

/* A session: one call, in which a model responds many times. What `n` further responses to a prompt
 * of so many tokens may cost is reserved beside what it has cost; as budget_reserve_up_to. */
MUST_USE enum err ai_cost_reserve_responses(struct ai_call *c, uint64_t prompt, unsigned n);
/* One of them was written. */
void ai_cost_add_response(struct ai_call *c, const struct token_count *tokens, bool estimated);
/* What else the session cost, of another price: the whole of the transcription of sounds. */
void ai_cost_add_transcription(struct ai_call *c, const struct price_sheet *sheet,
                               const struct token_count *tokens);
/* Tokens that a prompt has before anything was said: the provider's own instructions. */
#define AI_SESSION_PROMPT 4096

/* What the stream has cost so far by our own count. */
struct token_count ai_cost_so_far(struct ai_call *c);
