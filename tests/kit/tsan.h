/*
 * tsan — what the thread sanitizer takes for a race in programs whose descriptors libuv closes,
 * while others are opened on other threads.
 *
 * libuv closes by a bare system call that the sanitizer does not see; the number's next life in
 * another thread then looks like a race with its last one.
 *
 * Included once by such a program; one that says more itself is the one that counts.
 */
#pragma once

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);
__attribute__((weak)) const char *__tsan_default_suppressions(void)
{
    return "race:^peer_dial$\nrace:^peer_dial_from$\n" /* tests/kit/raw_peer.h: where the next life
                                                          begins */
           "called_from_lib:libuv.so\n"
           "called_from_lib:libcares.so\n";
}
#endif
