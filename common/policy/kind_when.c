/* kind_when — the conditions of a target, and the hours among them. */
#include "common/base/civil.h"
#include "common/policy/kind.h"

#define MINUTES_A_DAY (24 * 60)

static const char *const day_words[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static bool two_digits(const char *p, unsigned most, unsigned *ret)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9')
        return false;
    *ret = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
    return *ret <= most;
}

/* "08:00" to "24:00", as minutes. */
static bool read_clock(struct slice text, unsigned most_hours, unsigned *ret)
{
    unsigned hours = 0, minutes = 0;
    if (text.len != 5 || text.ptr[2] != ':' || !two_digits(text.ptr, most_hours, &hours) ||
        !two_digits(text.ptr + 3, 59, &minutes))
        return false;
    *ret = hours * 60 + minutes;
    return *ret <= most_hours * 60;
}

static bool read_offset(const char *text, int16_t *ret)
{
    unsigned minutes = 0;
    *ret = 0;
    if (!text)
        return true;
    if ((text[0] != '+' && text[0] != '-') || !read_clock(slice_str(text + 1), 14, &minutes))
        return false;
    *ret = (int16_t)(text[0] == '-' ? -(int)minutes : (int)minutes);
    return true;
}

static enum err read_hours(const Gatehouse__When *from, struct policy_hours *ret)
{
    unsigned begins = 0, ends = 0;
    uint32_t days = 0;
    *ret = (struct policy_hours){.set = false};
    if (!from->hours_from && !from->hours_to && !from->n_hours_days)
        return ERR_OK;
    if (!from->hours_from || !from->hours_to ||
        !read_clock(slice_str(from->hours_from), 23, &begins) ||
        !read_clock(slice_str(from->hours_to), 24, &ends) || begins == ends ||
        !read_offset(from->hours_utc_offset, &ret->utc_offset) ||
        kind_bits(from->hours_days, from->n_hours_days, day_words, ARRAY_LEN(day_words), &days))
        return ERR_INVALID;
    ret->set = true;
    ret->from = (uint16_t)begins;
    ret->to = (uint16_t)ends;
    ret->days = (uint8_t)(from->n_hours_days ? days : 0x7f);
    return ERR_OK;
}

static struct policy_pair *read_pairs(struct kind_decoding *d, Gatehouse__Pair *const *from,
                                      size_t n)
{
    struct policy_pair *out = kind_rows(d, n, sizeof(*out));
    for (size_t i = 0; out && i < n; i++)
        out[i] = (struct policy_pair){kind_text(d, from[i]->name), kind_text(d, from[i]->value)};
    return out;
}

enum err kind_when(struct kind_decoding *d, const Gatehouse__When *from,
                   const struct policy_when **ret)
{
    *ret = NULL;
    if (!from)
        return ERR_OK;
    struct policy_when *w = kind_rows(d, 1, sizeof(*w));
    if (!w)
        return ERR_NOMEM;
    *w = (struct policy_when){
        .headers = read_pairs(d, from->headers, from->n_headers),
        .header_count = from->n_headers,
        .metadata = read_pairs(d, from->metadata, from->n_metadata),
        .metadata_count = from->n_metadata,
        .teams = kind_texts(d, from->teams, from->n_teams),
        .team_count = from->n_teams,
        .agents = kind_texts(d, from->agents, from->n_agents),
        .agent_count = from->n_agents,
        .keys = kind_texts(d, from->keys, from->n_keys),
        .key_count = from->n_keys,
    };
    enum err e = read_hours(from, &w->hours);
    if (!e && d->short_of_memory)
        e = ERR_NOMEM;
    *ret = w;
    return e;
}

/* 1 January 1970 was a Thursday. */
static unsigned weekday_of(int64_t day)
{
    return (unsigned)(((day + 3) % 7 + 7) % 7);
}

static bool has_day(const struct policy_hours *h, int64_t day)
{
    return (h->days >> weekday_of(day) & 1u) != 0;
}

bool policy_hours_hold(const struct policy_hours *h, int64_t wall_us)
{
    if (!h->set)
        return true;
    int64_t there = wall_us + h->utc_offset * INT64_C(60000000);
    int64_t day = civil_day_of(there);
    int64_t minute = (there - day * CIVIL_US_PER_DAY) / INT64_C(60000000);
    if (h->from < h->to)
        return minute >= h->from && minute < h->to && has_day(h, day);
    /* past midnight: what began yesterday, or begins today */
    return (minute >= h->from && has_day(h, day)) || (minute < h->to && has_day(h, day - 1));
}
