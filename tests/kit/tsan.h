/*
 * tsan — what the thread sanitizer takes for a race though it is none, by the library it comes
 * from.
 *
 * A program that includes this has the suppressions for descriptors of libuv. One that needs more
 * defines TSAN_MORE before it does, a string of suppressions, a line each; its definition counts
 * then, and holds those for descriptors too.
 */
#pragma once

#ifdef TSAN_MORE
#define TSAN_BINDING
#else
#define TSAN_MORE ""
#define TSAN_BINDING __attribute__((weak))
#endif

#ifdef __SANITIZE_THREAD__
const char *__tsan_default_suppressions(void);

/* libuv closes by a bare system call that the sanitizer does not see; the number's next life in
 * another thread then looks like a race with its last one. The functions are of
 * tests/kit/raw_peer.h: there a next life begins. */
TSAN_BINDING const char *__tsan_default_suppressions(void)
{
    return "race:^peer_dial$\nrace:^peer_dial_from$\n"
           "called_from_lib:libuv.so\n"
           "called_from_lib:libcares.so\n" TSAN_MORE;
}
#endif
