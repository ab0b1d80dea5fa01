/* digest: the published vectors, and texts that decode to one thing only. */
#include "common/base/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/base/unit.h"

static const char *hex(const void *bytes, size_t len)
{
    static char text[512];
    assert_true(2 * len < sizeof(text));
    digest_hex(slice_of(bytes, len), text);
    return text;
}

/* test vectors are printed in hex; decoded by the function under test, checked by its own tests */
static struct slice bytes(const char *text, uint8_t *out, size_t cap)
{
    size_t len;
    assert_int_equal(digest_unhex(slice_str(text), out, cap, &len), ERR_OK);
    return slice_of(out, len);
}

UNIT(sha256_gives_the_vectors_of_fips_180)
{
    struct digest d;
    digest_sha256(SLICE(""), &d);
    assert_string_equal(hex(d.bytes, DIGEST_LEN),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    digest_sha256(SLICE("abc"), &d);
    assert_string_equal(hex(d.bytes, DIGEST_LEN),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256(SLICE("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), &d);
    assert_string_equal(hex(d.bytes, DIGEST_LEN),
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

UNIT(parts_are_hashed_with_their_lengths)
{
    struct digest whole, parts, moved;
    struct slice two[] = {SLICE("ab"), SLICE("c")};
    digest_sha256(slice_of("\2\0\0\0\0\0\0\0ab\1\0\0\0\0\0\0\0c", 19), &whole);
    digest_sha256_parts(two, 2, &parts);
    assert_memory_equal(whole.bytes, parts.bytes, DIGEST_LEN);
    struct slice other[] = {SLICE("a"), SLICE("bc")};
    digest_sha256_parts(other, 2, &moved);
    assert_memory_not_equal(moved.bytes, parts.bytes, DIGEST_LEN);
}

UNIT(hmac_gives_the_vectors_of_rfc_4231)
{
    static const struct {
        const char *key, *data, *mac;
    } rows[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "4869205468657265",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "dddddddddddddddddddddddddddddddddddddddddddddddddd"
         "dddddddddddddddddddddddddddddddddddddddddddddddddd",
         "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t key[64], data[64];
        struct digest d;
        digest_hmac(bytes(rows[i].key, key, sizeof(key)), bytes(rows[i].data, data, sizeof(data)),
                    &d);
        assert_string_equal(hex(d.bytes, DIGEST_LEN), rows[i].mac);
    }
    /* case 6: a key longer than a block */
    char long_key[131];
    memset(long_key, 0xaa, sizeof(long_key));
    struct digest d;
    digest_hmac(slice_of(long_key, sizeof(long_key)),
                SLICE("Test Using Larger Than Block-Size Key - Hash Key First"), &d);
    assert_string_equal(hex(d.bytes, DIGEST_LEN),
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

UNIT(each_byte_is_two_hex_digits_at_each_place)
{
    for (size_t len = 1; len <= 9; len++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            uint8_t in[9];
            char out[19], want[19] = "";
            for (size_t i = 0; i < len; i++) {
                in[i] = (uint8_t)(byte + 37 * i);
                snprintf(want + 2 * i, 3, "%02x", in[i]);
            }
            assert_int_equal(digest_hex(slice_of(in, len), out), 2 * len);
            assert_string_equal(out, want);
        }
    }
}

UNIT(a_key_made_ready_serves_any_number_of_texts)
{
    struct digest_hmac_key key;
    char text[200];
    memset(text, 'x', sizeof(text));
    digest_hmac_ready(SLICE("key"), &key);
    for (size_t len = 0; len <= sizeof(text); len++) {
        struct digest once, again;
        digest_hmac(SLICE("key"), slice_of(text, len), &once);
        digest_hmac_by(&key, slice_of(text, len), &again);
        assert_memory_equal(&once, &again, sizeof(once));
    }
}

UNIT(hkdf_gives_the_vectors_of_rfc_5869)
{
    uint8_t ikm[80], salt[80], info[80], out[82];
    digest_hkdf(bytes("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", ikm, sizeof(ikm)),
                bytes("000102030405060708090a0b0c", salt, sizeof(salt)),
                bytes("f0f1f2f3f4f5f6f7f8f9", info, sizeof(info)), out, 42);
    assert_string_equal(hex(out, 42), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4"
                                      "c5bf34007208d5b887185865");
    for (uint8_t i = 0; i < 80; i++) {
        ikm[i] = i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    digest_hkdf(slice_of(ikm, 80), slice_of(salt, 80), slice_of(info, 80), out, 82);
    assert_string_equal(hex(out, 82),
                        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                        "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                        "cc30c58179ec3e87c14c01d5c1f3434f1d87");
    digest_hkdf(bytes("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", ikm, sizeof(ikm)), SLICE_NONE,
                SLICE_NONE, out, 42);
    assert_string_equal(hex(out, 42), "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c73"
                                      "8d2d9d201395faa4b61a96c8");
}

UNIT(equal_means_all_bytes_and_the_length)
{
    assert_true(digest_equal(SLICE("abc"), SLICE("abc")));
    assert_false(digest_equal(SLICE("abc"), SLICE("abd")));
    assert_false(digest_equal(SLICE("abc"), SLICE("ab")));
    assert_true(digest_equal(SLICE(""), SLICE_NONE));
}

UNIT(sums_do_not_depend_on_order_and_can_be_taken_back)
{
    struct digest parts[3], forth = {{0}}, back = {{0}}, zero = {{0}};
    memset(parts[0].bytes, 0xFF, DIGEST_LEN); /* carries all the way */
    digest_sha256(SLICE("one"), &parts[1]);
    digest_sha256(SLICE("two"), &parts[2]);
    for (int i = 0; i < 3; i++) {
        digest_add(&forth, &parts[i]);
        digest_add(&back, &parts[2 - i]);
    }
    assert_memory_equal(forth.bytes, back.bytes, DIGEST_LEN);
    for (int i = 0; i < 3; i++)
        digest_sub(&forth, &parts[i]);
    assert_memory_equal(forth.bytes, zero.bytes, DIGEST_LEN);
    struct digest one = {{1}}, minus = {{0}};
    digest_sub(&minus, &one);
    assert_memory_equal(minus.bytes, parts[0].bytes, DIGEST_LEN);
    digest_add(&minus, &one);
    assert_memory_equal(minus.bytes, zero.bytes, DIGEST_LEN);
}

UNIT(hex_goes_there_and_back)
{
    char text[9];
    uint8_t out[4];
    size_t len;
    assert_int_equal(digest_hex(slice_of("\x00\xFF\x1a\xb2", 4), text), 8);
    assert_string_equal(text, "00ff1ab2");
    assert_int_equal(digest_unhex(SLICE("00FF1aB2"), out, sizeof(out), &len), ERR_OK);
    assert_memory_equal(out, "\x00\xFF\x1a\xb2", 4);
    assert_int_equal(digest_unhex(SLICE("0"), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(digest_unhex(SLICE("0g"), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(digest_unhex(SLICE("0011223344"), out, sizeof(out), &len), ERR_INVALID);
    assert_int_equal(digest_unhex(SLICE(""), out, sizeof(out), &len), ERR_OK);
    assert_int_equal(len, 0);
}

UNIT(base64url_gives_the_vectors_of_rfc_4648)
{
    static const char *const rows[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "-_-_"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[16];
        uint8_t out[8];
        size_t len;
        assert_int_equal(digest_base64url(slice_str(rows[i][0]), text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(digest_unbase64url(slice_str(text), out, sizeof(out), &len), ERR_OK);
        expect_text(slice_of(out, len), rows[i][0]);
    }
}

UNIT(base64_is_padded_and_has_one_spelling)
{
    static const char *const rows[][2] = {
        {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xbf", "+/+/"},
    };
    static const char *const wrong[] = {
        "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "-_-_", "Zm9v\n"};
    uint8_t out[8];
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[16];
        assert_int_equal(digest_base64(slice_str(rows[i][0]), text), strlen(rows[i][1]));
        assert_string_equal(text, rows[i][1]);
        assert_int_equal(digest_unbase64(slice_str(text), out, sizeof(out), &len), ERR_OK);
        expect_text(slice_of(out, len), rows[i][0]);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (digest_unbase64(slice_str(wrong[i]), out, sizeof(out), &len) != ERR_INVALID)
            fail_msg("accepted: %s", wrong[i]);
    }
}

UNIT(base64url_has_one_spelling)
{
    static const char *const rows[] = {
        "A", "Zg==", "Zh", "Zm9", "Z+==", "Zm8=", "Zg ", "Z/", "Z+", "Zm9vY", "Zm9v\n"};
    uint8_t out[8];
    size_t len;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (digest_unbase64url(slice_str(rows[i]), out, sizeof(out), &len) != ERR_INVALID)
            fail_msg("accepted: %s", rows[i]);
    }
    assert_int_equal(digest_unbase64url(SLICE("Zm9vYmFy"), out, 5, &len), ERR_INVALID);
    assert_int_equal(digest_unbase64url(SLICE("Zm9vYmFy"), out, 6, &len), ERR_OK);
}

UNIT(base62_is_one_big_endian_number)
{
    char text[32];
    digest_base62(slice_of("\0\0\0\0", 4), 4, text);
    assert_string_equal(text, "0000");
    digest_base62(slice_of("\x3d", 1), 2, text); /* 61 */
    assert_string_equal(text, "0z");
    digest_base62(slice_of("\x3e", 1), 2, text); /* 62 */
    assert_string_equal(text, "10");
    digest_base62(slice_of("\x01\x00\x00\x00\x00\x00\x00\x00", 8), 12, text); /* 2^56 */
    assert_string_equal(text, "005K1WLnfhB2");
    /* 2^128 - 1, all of it */
    uint8_t all[16];
    memset(all, 0xFF, sizeof(all));
    digest_base62(slice_of(all, 16), 22, text);
    assert_string_equal(text, "7n42DGM5Tflk9n8mt7Fhc7");
    digest_base62(slice_of(all, 16), 3, text); /* modulo 62^3 */
    assert_string_equal(text, "hc7");
    digest_base62(slice_of(all, 0), 2, text);
    assert_string_equal(text, "00");
}

UNIT(random_bytes_do_not_repeat)
{
    static uint8_t seen[2000][16];
    for (size_t i = 0; i < ARRAY_LEN(seen); i++) {
        digest_random(seen[i], sizeof(seen[i]));
        for (size_t k = 0; k < i; k++)
            assert_memory_not_equal(seen[k], seen[i], sizeof(seen[i]));
    }
    uint8_t large[300] = {0}, zeros[100] = {0};
    digest_random(large, sizeof(large));
    assert_memory_not_equal(large, zeros, sizeof(zeros));
    assert_memory_not_equal(large + 200, zeros, sizeof(zeros));
}

UNIT(a_child_does_not_draw_its_parents_random_bytes)
{
    uint8_t ours[16], theirs[16];
    int ends[2];
    digest_random(ours, sizeof(ours)); /* fills the stock both would draw from */
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        digest_random(theirs, sizeof(theirs));
        _exit(write(ends[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(read(ends[0], theirs, sizeof(theirs)), sizeof(theirs));
    digest_random(ours, sizeof(ours));
    assert_memory_not_equal(ours, theirs, sizeof(ours));
    close(ends[0]);
    close(ends[1]);
}

static void *hash_on_a_thread(void *ok)
{
    for (int i = 0; i < 1000; i++) {
        struct digest d;
        digest_sha256(SLICE("abc"), &d);
        if (d.bytes[0] != 0xba || d.bytes[31] != 0xad)
            *(bool *)ok = false;
    }
    return NULL;
}

UNIT(threads_hash_beside_each_other)
{
    pthread_t threads[4];
    bool ok[4] = {true, true, true, true};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_on_a_thread, &ok[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(ok[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_gives_the_vectors_of_fips_180),
        cmocka_unit_test(parts_are_hashed_with_their_lengths),
        cmocka_unit_test(hmac_gives_the_vectors_of_rfc_4231),
        cmocka_unit_test(each_byte_is_two_hex_digits_at_each_place),
        cmocka_unit_test(a_key_made_ready_serves_any_number_of_texts),
        cmocka_unit_test(hkdf_gives_the_vectors_of_rfc_5869),
        cmocka_unit_test(equal_means_all_bytes_and_the_length),
        cmocka_unit_test(sums_do_not_depend_on_order_and_can_be_taken_back),
        cmocka_unit_test(hex_goes_there_and_back),
        cmocka_unit_test(base64url_gives_the_vectors_of_rfc_4648),
        cmocka_unit_test(base64_is_padded_and_has_one_spelling),
        cmocka_unit_test(base64url_has_one_spelling),
        cmocka_unit_test(base62_is_one_big_endian_number),
        cmocka_unit_test(random_bytes_do_not_repeat),
        cmocka_unit_test(a_child_does_not_draw_its_parents_random_bytes),
        cmocka_unit_test(threads_hash_beside_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
