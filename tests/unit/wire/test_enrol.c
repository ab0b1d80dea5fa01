/* The CA of the channel: what it signs, what it refuses, and what others make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/wire/enrol.h"
#include "tests/kit/wire/channel_kit.h"

#define TEXT_MAX (64 * 1024)
#define DAY_US (86400ll * 1000000)

static struct kit kit;

static int open_kit(void **state)
{
    (void)state;
    kit_open(&kit);
    return 0;
}

static int close_kit(void **state)
{
    (void)state;
    kit_close(&kit);
    return 0;
}

static struct slice ca_cert(void)
{
    return buf_slice(&kit.ca_cert);
}

static struct slice ca_key(void)
{
    return buf_slice(&kit.ca_key);
}

/* A request in the form a key of any kind would be sent. */
static void write_request(EVP_PKEY *key, const char *cn, struct buf *pem)
{
    X509_REQ *request = X509_REQ_new();
    X509_REQ_set_version(request, X509_REQ_VERSION_1);
    if (cn)
        X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
                                   (const unsigned char *)cn, -1, -1, 0);
    X509_REQ_set_pubkey(request, key);
    bool hashes = !EVP_PKEY_is_a(key, "ED25519");
    assert_true(X509_REQ_sign(request, key, hashes ? EVP_sha256() : NULL) > 0);
    BIO *out = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_X509_REQ(out, request), 1);
    char *text;
    long len = BIO_get_mem_data(out, &text);
    assert_int_equal(buf_append(pem, slice_of(text, (size_t)len)), ERR_OK);
    BIO_free(out);
    X509_REQ_free(request);
}

static enum err issue(struct slice csr, struct slice id)
{
    struct buf cert;
    buf_init(&cert, TEXT_MAX);
    enum err e = enrol_issue_plane(ca_cert(), ca_key(), csr, id, &cert);
    assert_int_equal(cert.len > 0, e == ERR_OK);
    buf_fini(&cert);
    return e;
}

static X509 *read_cert(const char *name)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    struct slice pem = kit_read(&kit, name, &text);
    BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = PEM_read_bio_X509(in, NULL, NULL, NULL);
    assert_non_null(cert);
    BIO_free(in);
    buf_fini(&text);
    return cert;
}

static int openssl(const char *arguments)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && openssl %s > openssl.out 2>&1", kit.dir,
             arguments);
    return system(command);
}

static void the_openssl_program_verifies_the_chain(void **state)
{
    (void)state;
    kit_issue_server(&kit);
    kit_issue_plane(&kit, "dp-1");
    assert_int_equal(openssl("verify -x509_strict -purpose sslserver -verify_hostname "
                             "control-plane -CAfile ca.crt server.crt"),
                     0);
    assert_int_equal(openssl("verify -x509_strict -purpose sslclient -CAfile ca.crt dp-1.crt"), 0);
}

static void a_plane_cannot_play_the_control_plane_nor_the_other_way(void **state)
{
    (void)state;
    kit_issue_server(&kit);
    kit_issue_plane(&kit, "control-plane");
    assert_int_not_equal(openssl("verify -purpose sslserver -CAfile ca.crt control-plane.crt"), 0);
    assert_int_not_equal(openssl("verify -purpose sslclient -CAfile ca.crt server.crt"), 0);
}

static void another_ca_is_not_believed(void **state)
{
    (void)state;
    struct kit other;
    kit_open(&other);
    kit_issue_plane(&other, "dp-1");
    char arguments[256];
    snprintf(arguments, sizeof(arguments), "verify -CAfile ca.crt %s/dp-1.crt", other.dir);
    assert_int_not_equal(openssl(arguments), 0);
    kit_close(&other);
}

static void the_certificate_names_the_plane_and_nothing_the_request_says(void **state)
{
    (void)state;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    struct buf csr, cert;
    buf_init(&csr, TEXT_MAX);
    buf_init(&cert, TEXT_MAX);
    write_request(key, "control-plane", &csr);
    assert_int_equal(enrol_issue_plane(ca_cert(), ca_key(), buf_slice(&csr), SLICE("dp-7"), &cert),
                     ERR_OK);
    kit_write(&kit, "dp-7.crt", buf_slice(&cert));
    X509 *x = read_cert("dp-7.crt");
    char name[128];
    X509_NAME_oneline(X509_get_subject_name(x), name, sizeof(name));
    assert_string_equal(name, "/CN=dp-7");
    assert_int_equal(X509_get_ext_by_NID(x, NID_subject_alt_name, -1), -1);
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(x), key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    buf_fini(&csr);
    buf_fini(&cert);
}

static void certificates_live_for_thirty_days(void **state)
{
    (void)state;
    kit_issue_plane(&kit, "dp-1");
    struct buf text;
    buf_init(&text, TEXT_MAX);
    int64_t end = 0;
    assert_int_equal(enrol_not_after(kit_read(&kit, "dp-1.crt", &text), &end), ERR_OK);
    int64_t left = end - clock_wall_us();
    assert_true(left > 30 * DAY_US - 60 * 1000000ll && left <= 30 * DAY_US);
    buf_fini(&text);
    assert_int_equal(enrol_not_after(SLICE("no certificate"), &end), ERR_INVALID);
}

static void two_certificates_never_share_a_number(void **state)
{
    (void)state;
    kit_issue_plane(&kit, "dp-1");
    kit_issue_plane(&kit, "dp-2");
    X509 *a = read_cert("dp-1.crt"), *b = read_cert("dp-2.crt");
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
    X509_free(a);
    X509_free(b);
}

static void keys_of_other_kinds_are_refused(void **state)
{
    (void)state;
    EVP_PKEY *const keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-384"),
                              EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_EC_gen("secp256k1")};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct buf csr;
        buf_init(&csr, TEXT_MAX);
        write_request(keys[i], "dp-1", &csr);
        assert_int_equal(issue(buf_slice(&csr), SLICE("dp-1")), ERR_INVALID);
        buf_fini(&csr);
        EVP_PKEY_free(keys[i]);
    }
}

static void a_curve_spelled_out_is_refused(void **state)
{
    (void)state;
    assert_int_equal(
        openssl("ecparam -name prime256v1 -param_enc explicit -genkey -noout -out e.key"), 0);
    assert_int_equal(openssl("req -new -key e.key -subj /CN=x -out e.csr"), 0);
    struct buf text;
    buf_init(&text, TEXT_MAX);
    assert_int_equal(issue(kit_read(&kit, "e.csr", &text), SLICE("dp-1")), ERR_INVALID);
    buf_fini(&text);
}

static void only_one_request_and_nothing_else_is_taken(void **state)
{
    (void)state;
    struct buf key, one, text;
    buf_init(&key, TEXT_MAX);
    buf_init(&one, TEXT_MAX);
    assert_int_equal(enrol_make_request(&key, &one), ERR_OK);
    struct slice csr = buf_slice(&one);
    assert_int_equal(issue(csr, SLICE("dp-1")), ERR_OK);

    const struct slice before[] = {SLICE(""), csr, buf_slice(&key), ca_cert(), SLICE("x")};
    const struct slice after[] = {csr, buf_slice(&key), ca_cert(), SLICE("x"), SLICE("\0")};
    for (size_t i = 0; i < ARRAY_LEN(before); i++) {
        for (size_t j = 0; j < ARRAY_LEN(after); j++) {
            buf_init(&text, TEXT_MAX);
            assert_int_equal(buf_append(&text, before[i]), ERR_OK);
            assert_int_equal(buf_append(&text, csr), ERR_OK);
            assert_int_equal(buf_append(&text, after[j]), ERR_OK);
            assert_int_equal(issue(buf_slice(&text), SLICE("dp-1")), ERR_INVALID);
            buf_fini(&text);
        }
    }
    buf_fini(&key);
    buf_fini(&one);
}

static void garbage_is_refused(void **state)
{
    (void)state;
    struct buf key, csr;
    buf_init(&key, TEXT_MAX);
    buf_init(&csr, 2 * TEXT_MAX);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    assert_int_equal(issue(SLICE_NONE, SLICE("dp-1")), ERR_INVALID);
    assert_int_equal(issue(SLICE("garbage"), SLICE("dp-1")), ERR_INVALID);
    assert_int_equal(issue(SLICE("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"
                                 "-----END CERTIFICATE REQUEST-----\n"),
                           SLICE("dp-1")),
                     ERR_INVALID);
    assert_int_equal(issue(ca_cert(), SLICE("dp-1")), ERR_INVALID);
    for (size_t len = 0; len + 2 < csr.len;
         len += 7) /* cut off anywhere but in the last line's end */
        if (len < csr.len - 34)
            assert_int_equal(issue(slice_of(csr.data, len), SLICE("dp-1")), ERR_INVALID);
    /* one letter changed: not a request any more, or not signed by its key */
    for (size_t i = 40; i < csr.len - 40; i += 11) {
        char before = csr.data[i];
        if (before == '\n')
            continue;
        csr.data[i] = before == 'A' ? 'B' : 'A';
        assert_int_equal(issue(buf_slice(&csr), SLICE("dp-1")), ERR_INVALID);
        csr.data[i] = before;
    }
    while (csr.len < TEXT_MAX + 100)
        assert_int_equal(buf_append(&csr, SLICE("\n\n\n\n\n\n\n\n")), ERR_OK);
    assert_int_equal(issue(buf_slice(&csr), SLICE("dp-1")), ERR_INVALID);
    buf_fini(&key);
    buf_fini(&csr);
}

static void names_that_are_no_plane_are_refused(void **state)
{
    (void)state;
    struct buf key, csr;
    buf_init(&key, TEXT_MAX);
    buf_init(&csr, TEXT_MAX);
    assert_int_equal(enrol_make_request(&key, &csr), ERR_OK);
    static const char long_name[] =
        "0123456789012345678901234567890123456789012345678901234567890123x";
    const struct slice names[] = {SLICE(""),    SLICE("a b"),        SLICE("a\0b"),
                                  SLICE("a/b"), SLICE("dp.1"),       SLICE("dp\n1"),
                                  SLICE("é"),   slice_str(long_name)};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(issue(buf_slice(&csr), names[i]), ERR_INVALID);
    assert_int_equal(issue(buf_slice(&csr), slice_first(slice_str(long_name), 64)), ERR_OK);
    buf_fini(&key);
    buf_fini(&csr);
}

static void a_key_of_another_ca_does_not_sign(void **state)
{
    (void)state;
    struct buf cert, key, csr_key, csr, out;
    buf_init(&cert, TEXT_MAX);
    buf_init(&key, TEXT_MAX);
    buf_init(&csr_key, TEXT_MAX);
    buf_init(&csr, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    assert_int_equal(enrol_make_ca(&cert, &key), ERR_OK);
    assert_int_equal(enrol_make_request(&csr_key, &csr), ERR_OK);
    assert_int_equal(
        enrol_issue_plane(ca_cert(), buf_slice(&key), buf_slice(&csr), SLICE("dp-1"), &out),
        ERR_INVALID);
    assert_int_equal(out.len, 0);
    struct buf *all[] = {&cert, &key, &csr_key, &csr, &out};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        buf_fini(all[i]);
}

static void the_digest_is_that_of_the_certificate_itself(void **state)
{
    (void)state;
    struct digest ours;
    char hex[DIGEST_HEX_MAX], theirs[256] = "";
    assert_int_equal(enrol_ca_digest(ca_cert(), &ours), ERR_OK);
    digest_hex(slice_of(ours.bytes, sizeof(ours.bytes)), hex);
    assert_int_equal(openssl("x509 -in ca.crt -outform DER -out ca.der"), 0);
    assert_int_equal(openssl("dgst -sha256 -r ca.der"), 0);
    struct buf text;
    buf_init(&text, TEXT_MAX);
    struct slice line = kit_read(&kit, "openssl.out", &text);
    memcpy(theirs, line.ptr, 64);
    assert_string_equal(hex, theirs);
    buf_fini(&text);
    assert_int_equal(enrol_ca_digest(SLICE("x"), &ours), ERR_INVALID);
}

static void a_token_says_what_was_put_in(void **state)
{
    (void)state;
    struct digest ca, stored, read_ca, read_stored;
    char token[ENROL_TOKEN_MAX], other[ENROL_TOKEN_MAX];
    assert_int_equal(enrol_ca_digest(ca_cert(), &ca), ERR_OK);
    enrol_token_make(&ca, token, &stored);
    assert_memory_equal(token, "ghe-", 4);
    assert_int_equal(strlen(token), 4 + 86);
    assert_int_equal(enrol_token_read(slice_str(token), &read_ca, &read_stored), ERR_OK);
    assert_memory_equal(&read_ca, &ca, sizeof(ca));
    assert_memory_equal(&read_stored, &stored, sizeof(stored));
    enrol_token_make(&ca, other, &read_stored);
    assert_string_not_equal(token, other);
    assert_memory_not_equal(&read_stored, &stored, sizeof(stored));
}

static void other_texts_are_no_tokens(void **state)
{
    (void)state;
    struct digest ca = {{1}}, stored;
    char token[ENROL_TOKEN_MAX + 8];
    enrol_token_make(&ca, token, &stored);
    for (size_t len = 0; len < 90; len++)
        assert_int_equal(enrol_token_read(slice_of(token, len), &ca, &stored), ERR_INVALID);
    memcpy(token + 90, "AAAA", 5);
    assert_int_equal(enrol_token_read(slice_of(token, 94), &ca, &stored), ERR_INVALID);
    token[50] = '+';
    assert_int_equal(enrol_token_read(slice_of(token, 90), &ca, &stored), ERR_INVALID);
    assert_int_equal(enrol_token_read(SLICE("gh-abcdefghijkl-xyz"), &ca, &stored), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_openssl_program_verifies_the_chain),
        cmocka_unit_test(a_plane_cannot_play_the_control_plane_nor_the_other_way),
        cmocka_unit_test(another_ca_is_not_believed),
        cmocka_unit_test(the_certificate_names_the_plane_and_nothing_the_request_says),
        cmocka_unit_test(certificates_live_for_thirty_days),
        cmocka_unit_test(two_certificates_never_share_a_number),
        cmocka_unit_test(keys_of_other_kinds_are_refused),
        cmocka_unit_test(a_curve_spelled_out_is_refused),
        cmocka_unit_test(only_one_request_and_nothing_else_is_taken),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(names_that_are_no_plane_are_refused),
        cmocka_unit_test(a_key_of_another_ca_does_not_sign),
        cmocka_unit_test(the_digest_is_that_of_the_certificate_itself),
        cmocka_unit_test(a_token_says_what_was_put_in),
        cmocka_unit_test(other_texts_are_no_tokens),
    };
    return cmocka_run_group_tests(tests, open_kit, close_kit);
}
