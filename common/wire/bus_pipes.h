/*
 * bus_pipes — the connections of one NNG socket: which are accepted, how many there are, and how
 * they end.
 *
 * A pipe must end by reading the end of its input (tunnel_pair.c says why), so nothing is closed
 * here at first: the owner of a socket first closes the tunnel's connection and then waits until
 * the pipes are gone. Abstract sockets have no permissions: a pipe of another process is refused
 * here.
 *
 * Owns     the list of pipes' numbers.
 * Threads  any; bus_pipes_shut waits for NNG's threads, so no lock their callbacks take may be
 * held.
 */
#pragma once

#include <nng/nng.h>
#include <pthread.h>

#include "common/base/err.h"

struct bus_pipe {
    int pipe, listener;
};

struct bus_pipes {
    pthread_mutex_t lock;
    pthread_cond_t gone;
    struct bus_pipe *at;
    size_t count, cap;
    unsigned came; /* ever */
    int refusing;  /* a listener, or BUS_PIPES_ALL; 0: none */
    /* NNG's threads, when one came (before its first message) or went; may be NULL */
    void (*on_change)(void *arg);
    void *arg;
};

#define BUS_PIPES_ALL (-1)

void bus_pipes_init(struct bus_pipes *p, void (*on_change)(void *arg), void *arg);
void bus_pipes_fini(struct bus_pipes *p); /* after the socket's close */
int bus_pipes_watch(struct bus_pipes *p,
                    nng_socket s); /* an NNG error or 0; before dial or listen */
/* Refuses more of that listener (or all), and returns when those there are have gone. The tunnel
 * has closed its side before; a pipe that does not end by itself is closed after some seconds. */
void bus_pipes_shut(struct bus_pipes *p, int listener);
/* Is there one now? *came grows with each that comes. */
bool bus_pipes_any(struct bus_pipes *p, unsigned *came);
