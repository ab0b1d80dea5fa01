/*
 * admin_problem — every refusal of the admin API, in one table: status and code. The sentence
 * stands where it is written, as it names what was requested.
 *
 * Threads  any; constant.
 */
#pragma once

/* name, http status, code, when */
#define PROBLEM_TABLE(X)                                                                           \
    X(MALFORMED_REQUEST, 400, "malformed_request",                                                 \
      "the request is no HTTP that is read here; the status may also be 408, 414, 417, 431, 501 "  \
      "or 505")                                                                                    \
    X(BAD_JSON, 400, "not_json", "the body is no JSON object")                                     \
    X(BAD_PARAMETER, 400, "bad_parameter", "a member of the query is unknown or has a bad value")  \
    X(BAD_CURSOR, 400, "bad_cursor", "`cursor` is not one that was given")                         \
    X(BAD_IF_MATCH, 400, "bad_if_match", "`If-Match` is no entity tag")                            \
    X(BAD_IDEMPOTENCY_KEY, 400, "bad_idempotency_key", "`Idempotency-Key` is too long, or empty")  \
    X(DOUBLED_HEADER, 400, "doubled_header", "a header came twice")                                \
    X(NOT_SIGNED_IN, 401, "not_signed_in", "there is no valid bearer token")                       \
    X(ENROLMENT_REFUSED, 401, "enrolment_refused", "the token is unknown, used or expired")        \
    X(ROLE_NOT_ALLOWED, 403, "role_not_allowed", "the token's role may not do this")               \
    X(NO_SUCH_PATH, 404, "no_such_path", "no resource has this path")                              \
    X(NOT_FOUND, 404, "not_found", "there is no such object")                                      \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "the path has other methods: see `Allow`")    \
    X(CHANGING, 409, "busy", "another request changes the same: try again")                        \
    X(NAME_TAKEN, 409, "name_taken", "another object has the name")                                \
    X(NAME_RESERVED, 409, "name_reserved", "a deleted object had the name a while ago")            \
    X(DIGEST_TAKEN, 409, "digest_taken", "another key has the digest")                             \
    X(AMBIGUOUS_NAME, 409, "ambiguous_name", "several objects have the name: use an id")           \
    X(AMBIGUOUS_SESSION, 409, "ambiguous_session", "several sessions have the id")                 \
    X(KEY_REVOKED, 409, "key_revoked", "a revoked key stays revoked")                              \
    X(REFERENCED, 409, "referenced", "other objects refer to it; they are listed")                 \
    X(ALWAYS_THERE, 409, "always_there", "it cannot be deleted")                                   \
    X(REVISION_MISMATCH, 412, "revision_mismatch", "`If-Match` names another revision")            \
    X(TOO_LARGE, 413, "too_large", "the body is too large")                                        \
    X(NOT_JSON, 415, "not_json", "the body is not `application/json`")                             \
    X(ENCODED_BODY, 415, "encoded_body", "the body has a `Content-Encoding`")                      \
    X(INVALID_DOCUMENT, 422, "invalid_document", "members of the document are listed with why")    \
    X(ENROLMENT_INVALID, 422, "invalid", "the enrolment cannot be read")                           \
    X(IDEMPOTENCY_KEY_REUSED, 422, "idempotency_key_reused",                                       \
      "another request had the same `Idempotency-Key`")                                            \
    X(TOO_MANY_SIGN_INS, 429, "too_many_sign_ins", "too many failed from this address")            \
    X(TOO_MANY_ENROLMENTS, 429, "too_many_enrolments", "too many failed from this address")        \
    X(INTERNAL, 500, "internal", "an error of our own; the log says which")                        \
    X(BUSY, 503, "busy", "too many requests at once: try again")                                   \
    X(DATABASE_AWAY, 503, "database_away", "PostgreSQL gives no reply")                            \
    X(NO_CHANNEL, 503, "no_channel", "this control plane has no channel to data planes")           \
    X(NO_DATAPLANE, 503, "no_dataplane", "no data plane is connected that could do it")            \
    X(NO_ANSWER, 503, "no_answer", "a data plane was asked and did not answer in time")

enum problem_id {
#define PROBLEM_ENUM(name, status, code, when) PROBLEM_##name,
    PROBLEM_TABLE(PROBLEM_ENUM) PROBLEM_COUNT
#undef PROBLEM_ENUM
};

struct problem_row {
    unsigned status;
    const char *code;
    const char *when;
};

const struct problem_row *problem_row(enum problem_id id);
