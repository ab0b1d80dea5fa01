/*
 * token_aws — temporary keys of AWS: of a container's credential endpoint, of the instance metadata
 * service (version 2), and of STS for a web identity.
 *
 * https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 * https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
 * https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
 */
#include "common/base/xml_text.h"
#include "common/upstream/token_fetch.h"

#define ROLES "/latest/meta-data/iam/security-credentials/"
#define ROLE_MAX 128
#define PLAIN_MAX (16 * 1024)

/* ---- what all documents of keys in JSON have ---- */

static enum err take_json(struct token_fetch *f)
{
    JSON_AUTO json_t *tree = NULL;
    struct json_problem problem;
    if (json_read(buf_slice(&f->response), &tree, &problem))
        return ERR_PROTOCOL;
    struct slice code = json_text(tree, "Code"), key_id = json_text(tree, "AccessKeyId");
    char room[64];
    if (code.len && !slice_eq(code, SLICE("Success")))
        return token_fetch_fail(f, ERR_DENIED, "it was answered %.*s",
                                SLICE_ARG(token_fetch_error_word(buf_slice(&f->response), room)));
    enum err e = key_id.len ? token_fetch_ends(f, json_text(tree, "Expiration")) : ERR_PROTOCOL;
    return e ? e
             : token_fetch_made(f, key_id, json_text(tree, "SecretAccessKey"),
                                json_text(tree, "Token"));
}

/* ---- a container ---- */

static enum err ask_container(struct token_fetch *f)
{
    struct slice token;
    enum err e = token_fetch_proof(f, &token);
    f->url = f->source->url;
    if (!e && token.len)
        token_fetch_header(f, SLICE("authorization"), token);
    return e;
}

static bool is_container(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)has_secret;
    return s->url.len && region.len;
}

const struct token_kind token_kind_aws_container = {
    .name = {"aws_container", 13},
    .asks = "the container's credential endpoint",
    .local = true,
    .signs = true,
    .ask = ask_container,
    .take = take_json,
    .is_whole = is_container,
};

/* ---- an instance ---- */

enum { IMDS_SESSION, IMDS_ROLES, IMDS_KEYS };

/* Where the role's name is given, it is not asked for. */
static unsigned imds_step(const struct token_fetch *f)
{
    return f->step == IMDS_ROLES && f->source->role.len ? IMDS_KEYS : f->step;
}

static enum err ask_imds(struct token_fetch *f)
{
    unsigned step = imds_step(f);
    f->url = f->source->url;
    if (step == IMDS_SESSION) {
        f->method = SLICE("PUT");
        f->path = SLICE("/latest/api/token");
        token_fetch_header(f, SLICE("x-aws-ec2-metadata-token-ttl-seconds"), SLICE("21600"));
        return ERR_OK;
    }
    token_fetch_header(f, SLICE("x-aws-ec2-metadata-token"), f->held);
    struct slice role = step == IMDS_ROLES    ? SLICE("")
                        : f->source->role.len ? f->source->role
                                              : f->role;
    return token_fetch_text(f, (struct slice[]){SLICE(ROLES), role}, 2, &f->path);
}

/* https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html */
static bool is_role(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !memchr("_+=,.@-", c, 7))
            return false;
    }
    return s.len > 0 && s.len <= ROLE_MAX;
}

static enum err take_imds(struct token_fetch *f)
{
    struct slice text = buf_slice(&f->response), line;
    enum err e;
    switch (imds_step(f)) {
    case IMDS_SESSION:
        e = token_fetch_member(f, text, SLICE(""), &line);
        if (!e)
            e = token_fetch_text(f, &line, 1, &f->held);
        return e ? e : ERR_AGAIN;
    case IMDS_ROLES:
        if (!slice_split(&text, '\n', &line) || !is_role(slice_trim(line)))
            return token_fetch_fail(f, ERR_PROTOCOL, "the instance has no role");
        line = slice_trim(line);
        e = token_fetch_text(f, &line, 1, &f->role);
        return e ? e : ERR_AGAIN;
    default:
        return take_json(f);
    }
}

static bool is_imds(const struct token_source *s, struct slice region, bool has_secret)
{
    (void)has_secret;
    return s->url.len && region.len && (!s->role.len || is_role(s->role));
}

const struct token_kind token_kind_aws_imds = {
    .name = {"aws_imds", 8},
    .asks = "the instance metadata service",
    .local = true,
    .signs = true,
    .ask = ask_imds,
    .take = take_imds,
    .is_whole = is_imds,
};

/* ---- a web identity ---- */

static enum err ask_sts(struct token_fetch *f)
{
    const struct token_source *s = f->source;
    struct slice token, name = s->session_name.len ? s->session_name : SLICE("gatehouse");
    const struct slice own[] = {SLICE("https://sts."), f->spec->region, SLICE(".amazonaws.com/")};
    struct url u;
    enum err e = token_fetch_proof(f, &token);
    f->url = s->url;
    if (!e && !s->url.len)
        e = token_fetch_text(f, own, ARRAY_LEN(own), &f->url);
    if (e)
        return e;
    f->path = !url_parse(f->url, &u) && u.path.len ? SLICE("") : SLICE("/");
    f->headers[0].value = SLICE("application/xml"); /* accept */
    token_fetch_form(f);
    const struct {
        const char *name;
        struct slice value;
    } fields[] = {{"Action", SLICE("AssumeRoleWithWebIdentity")},
                  {"Version", SLICE("2011-06-15")},
                  {"RoleArn", s->role},
                  {"RoleSessionName", name},
                  {"WebIdentityToken", token}};
    for (size_t i = 0; i < ARRAY_LEN(fields) && !e; i++)
        e = token_fetch_field(f, fields[i].name, fields[i].value);
    return e;
}

#define CREDENTIALS "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/"

static enum err take_sts(struct token_fetch *f)
{
    static const char *const wants[] = {CREDENTIALS "AccessKeyId", CREDENTIALS "SecretAccessKey",
                                        CREDENTIALS "SessionToken", CREDENTIALS "Expiration"};
    struct slice raw[ARRAY_LEN(wants)], plain[ARRAY_LEN(wants)];
    if (xml_texts(buf_slice(&f->response), wants, ARRAY_LEN(wants), raw))
        return ERR_PROTOCOL;
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        char *room;
        if (!raw[i].len || raw[i].len > PLAIN_MAX)
            return ERR_PROTOCOL;
        enum err e = buf_room(&f->text, raw[i].len, &room);
        if (!e)
            e = xml_plain(raw[i], room, raw[i].len, &plain[i]);
        if (e)
            return e == ERR_INVALID ? ERR_PROTOCOL : e;
        buf_commit(&f->text, plain[i].len);
    }
    enum err e = token_fetch_ends(f, plain[3]);
    return e ? e : token_fetch_made(f, plain[0], plain[1], plain[2]);
}

static bool is_web_identity(const struct token_source *s, struct slice region, bool has_secret)
{
    return s->role.len && region.len && (s->token_file.len || has_secret);
}

const struct token_kind token_kind_aws_web_identity = {
    .name = {"aws_web_identity", 16},
    .asks = "AWS STS",
    .signs = true,
    .ask = ask_sts,
    .take = take_sts,
    .is_whole = is_web_identity,
};
