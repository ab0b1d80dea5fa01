/* questions — one answer for each, from the plane that was asked, in time. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "controlplane/channel/questions.h"

/* What a plane does with a question that reaches it, on a thread of its own. */
struct plane {
    struct questions *questions;
    const char *says; /* NULL: nothing */
    const char *as;   /* the plane that it says it is */
    bool unknown, is_problem, twice, is_wrong_number;
    uint64_t number;
    pthread_t thread;
    unsigned asked;
    enum err pushed;
};

static void *answer(void *arg)
{
    struct plane *p = arg;
    Gatehouse__Explained m = GATEHOUSE__EXPLAINED__INIT;
    m.number = p->number + (p->is_wrong_number ? 1 : 0);
    m.unknown = p->unknown;
    *(p->is_problem ? &m.problem : &m.answer) = (char *)(uintptr_t)p->says;
    for (int i = 0; i <= p->twice; i++)
        questions_answer(p->questions, slice_str(p->as), &m);
    return NULL;
}

static enum err push(void *arg, struct slice plane_id, Gatehouse__ExplainQuestion *question)
{
    struct plane *p = arg;
    assert_true(slice_eq(plane_id, SLICE("dp_1")));
    assert_string_equal(question->dataplane_id, "dp_1");
    p->asked++;
    p->number = question->number;
    if (p->says && p->pushed == ERR_OK)
        assert_int_equal(pthread_create(&p->thread, NULL, answer, p), 0);
    return p->pushed;
}

static enum err ask(struct plane *p, unsigned ms, enum answer_kind *kind, char *text)
{
    struct buf out;
    Gatehouse__ExplainQuestion q = GATEHOUSE__EXPLAIN_QUESTION__INIT;
    buf_init(&out, 4096);
    p->questions = questions_new(push, p);
    assert_non_null(p->questions);
    enum err e = questions_ask(p->questions, SLICE("dp_1"), &q, ms, kind, &out);
    if (p->says && p->pushed == ERR_OK)
        pthread_join(p->thread, NULL);
    snprintf(text, 64, "%.*s", (int)out.len, out.len ? out.data : "");
    buf_fini(&out);
    questions_free(p->questions);
    return e;
}

static void the_answer_reaches_the_one_who_asked(void **state)
{
    (void)state;
    static const struct {
        struct plane plane;
        enum answer_kind kind;
    } rows[] = {
        {{.says = "{}", .as = "dp_1"}, ANSWER_GIVEN},
        {{.says = "{}", .as = "dp_1", .twice = true}, ANSWER_GIVEN},
        {{.says = "what?", .as = "dp_1", .is_problem = true}, ANSWER_PROBLEM},
        {{.says = "", .as = "dp_1", .is_problem = true, .unknown = true}, ANSWER_UNKNOWN_MODEL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plane p = rows[i].plane;
        enum answer_kind kind;
        char text[64];
        assert_int_equal(ask(&p, 10000, &kind, text), ERR_OK);
        assert_int_equal(kind, rows[i].kind);
        assert_string_equal(text, rows[i].plane.says);
        assert_int_equal(p.asked, 1);
    }
}

static void an_answer_of_another_plane_or_to_another_question_is_none(void **state)
{
    (void)state;
    struct plane rows[] = {{.says = "{}", .as = "dp_2"},
                           {.says = "{}", .as = "dp_1", .is_wrong_number = true},
                           {.says = NULL}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum answer_kind kind;
        char text[64];
        assert_int_equal(ask(&rows[i], 30, &kind, text), ERR_TIMEOUT);
        assert_string_equal(text, "");
    }
}

static void a_question_that_cannot_be_sent_does_not_wait(void **state)
{
    (void)state;
    struct plane p = {.pushed = ERR_CLOSED};
    enum answer_kind kind;
    char text[64];
    assert_int_equal(ask(&p, 60000, &kind, text), ERR_CLOSED);
}

/* Each of them asks one more, until there is no place. */
struct chain {
    struct questions *questions;
    unsigned depth;
    enum err last;
};

static enum err ask_on(void *arg, struct slice plane_id, Gatehouse__ExplainQuestion *question)
{
    struct chain *c = arg;
    enum answer_kind kind;
    struct buf out;
    Gatehouse__ExplainQuestion q = GATEHOUSE__EXPLAIN_QUESTION__INIT;
    (void)question;
    c->depth++;
    buf_init(&out, 64);
    enum err e = questions_ask(c->questions, plane_id, &q, 1, &kind, &out);
    if (e == ERR_EXHAUSTED)
        c->last = e;
    buf_fini(&out);
    return ERR_CLOSED;
}

static void only_so_many_questions_wait_at_once(void **state)
{
    (void)state;
    struct chain c = {.last = ERR_OK};
    enum answer_kind kind;
    struct buf out;
    Gatehouse__ExplainQuestion q = GATEHOUSE__EXPLAIN_QUESTION__INIT;
    buf_init(&out, 64);
    c.questions = questions_new(ask_on, &c);
    assert_int_equal(questions_ask(c.questions, SLICE("dp_1"), &q, 1, &kind, &out), ERR_CLOSED);
    assert_int_equal(c.depth, QUESTIONS_MOST);
    assert_int_equal(c.last, ERR_EXHAUSTED);
    questions_free(c.questions);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_reaches_the_one_who_asked),
        cmocka_unit_test(an_answer_of_another_plane_or_to_another_question_is_none),
        cmocka_unit_test(a_question_that_cannot_be_sent_does_not_wait),
        cmocka_unit_test(only_so_many_questions_wait_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
