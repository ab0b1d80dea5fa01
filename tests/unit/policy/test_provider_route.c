/* provider_route — a provider's own authority, certificate and proxy, as a plane reads them. */
#include "tests/unit/policy/policy_kit.h"

#include <stdlib.h>

#include "common/net/tls.h"
#include "tests/kit/net/certs.h"

static Gatehouse__Provider provider;

static void put_provider(struct snapshot_build *b)
{
    Gatehouse__PolicyObject o = GATEHOUSE__POLICY_OBJECT__INIT;
    provider.org_id = "org";
    provider.name = provider.dialect = "openai";
    provider.base_url = "https://models.example/v1";
    o.has_kind = o.has_revision = true;
    o.kind = GATEHOUSE__OBJECT_KIND__KIND_PROVIDER;
    o.id = "p";
    o.revision = 1;
    o.body_case = GATEHOUSE__POLICY_OBJECT__BODY_PROVIDER;
    o.provider = &provider;
    assert_int_equal(snapshot_build_apply(b, &o), ERR_OK);
}

static struct snapshot *version(struct registry *r)
{
    struct snapshot_build *b;
    assert_int_equal(snapshot_build_begin(NULL, r, &b), ERR_OK);
    put_provider(b);
    return snapshot_build_end(&b, SLICE("lineage"), 1);
}

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "r");
    char *text = calloc(1, 16384);
    assert_non_null(f);
    assert_true(fread(text, 1, 16383, f) > 0);
    fclose(f);
    return text;
}

static void a_proxy_is_told_the_name_and_password_it_knows(void **state)
{
    struct registry *r = *state;
    Gatehouse__ProviderProxy proxy = GATEHOUSE__PROVIDER_PROXY__INIT;
    gatehouse__provider__init(&provider);
    provider.proxy = &proxy;
    proxy.url = "http://proxy.example:3128";
    struct snapshot *open = version(r);
    const struct stream_proxy *x = snapshot_provider(open, SLICE("p"))->proxy;
    assert_true(slice_eq(x->host, SLICE("proxy.example")) && x->port == 3128);
    assert_int_equal(x->authorization.len, 0);

    proxy.username = "Aladdin"; /* the example of RFC 7617 */
    proxy.has_secret = true;
    proxy.secret = bytes("open sesame");
    struct snapshot *closed = version(r), *again = version(r);
    const struct stream_proxy *y = snapshot_provider(closed, SLICE("p"))->proxy;
    assert_true(slice_eq(y->authorization, SLICE("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
    assert_true(x->id != y->id && x->id && y->id);
    assert_true(y->id == snapshot_provider(again, SLICE("p"))->proxy->id);
    snapshot_drop(open);
    snapshot_drop(closed);
    snapshot_drop(again);
}

static void a_provider_whose_route_cannot_be_read_is_refused(void **state)
{
    struct registry *r = *state;
    Gatehouse__ProviderProxy proxy = GATEHOUSE__PROVIDER_PROXY__INIT;
    Gatehouse__ProviderTls tls = GATEHOUSE__PROVIDER_TLS__INIT;
    gatehouse__provider__init(&provider);
    provider.proxy = &proxy;
    proxy.url = "https://proxy.example";
    struct snapshot *s = version(r);
    assert_null(snapshot_provider(s, SLICE("p")));
    assert_int_equal(snapshot_refused(s), 1);
    snapshot_drop(s);
    provider.proxy = NULL;
    provider.tls = &tls;
    tls.ca = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n";
    s = version(r);
    assert_null(snapshot_provider(s, SLICE("p")));
    snapshot_drop(s);
}

static void an_own_authority_and_certificate_make_a_context(void **state)
{
    struct registry *r = *state;
    struct certs *certs = certs_new();
    const struct certs_order order = {.name = "plane", .client = true};
    struct certs_files own = certs_issue(certs, &order);
    char *ca = read_file(certs_ca(certs)), *cert = read_file(own.cert), *key = read_file(own.key);
    Gatehouse__ProviderTls tls = GATEHOUSE__PROVIDER_TLS__INIT;
    gatehouse__provider__init(&provider);
    provider.tls = &tls;
    tls.ca = ca;
    tls.certificate = cert;
    tls.has_secret = true;
    tls.secret = bytes(key);
    struct snapshot *s = version(r);
    assert_non_null(snapshot_provider(s, SLICE("p"))->tls);
    snapshot_drop(s);
    free(ca);
    free(cert);
    free(key);
    certs_free(certs);
}

static int open_registry(void **state)
{
    *state = registry_new();
    return *state == NULL;
}

static int close_registry(void **state)
{
    registry_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_proxy_is_told_the_name_and_password_it_knows,
                                        open_registry, close_registry),
        cmocka_unit_test_setup_teardown(a_provider_whose_route_cannot_be_read_is_refused,
                                        open_registry, close_registry),
        cmocka_unit_test_setup_teardown(an_own_authority_and_certificate_make_a_context,
                                        open_registry, close_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
