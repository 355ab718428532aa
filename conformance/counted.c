/* SPDX-License-Identifier: MIT */
#include "counted.h"

#include <stdlib.h>

static void count(counted *c, size_t *what, int by) {
    (void)pthread_mutex_lock(&c->stage->lock);
    *what += (size_t)by;
    (void)pthread_mutex_unlock(&c->stage->lock);
}

static void *counted_alloc(void *user, size_t bytes, size_t alignment) {
    counted *c = user;
    void *block = NULL;
    if (alignment < sizeof(void *)) alignment = sizeof(void *);
    if (posix_memalign(&block, alignment, bytes) != 0) return NULL;
    count(c, &c->n_blocks, 1);
    return block;
}

static void counted_free(void *user, void *block, size_t bytes, size_t alignment) {
    counted *c = user;
    (void)bytes;
    (void)alignment;
    if (block) count(c, &c->n_blocks, -1);
    free(block);
}

typedef struct counted_thread {
    pthread_t thread;
    void (*body)(void *arg);
    void *arg;
} counted_thread;

static void *counted_main(void *arg) {
    counted_thread *t = arg;
    t->body(t->arg);
    return NULL;
}

static void *counted_start(void *user, const char *name, void (*body)(void *arg), void *arg) {
    counted *c = user;
    counted_thread *t = malloc(sizeof *t);
    (void)name;
    if (!t) return NULL;
    t->body = body;
    t->arg = arg;
    if (pthread_create(&t->thread, NULL, counted_main, t) != 0) {
        free(t);
        return NULL;
    }
    count(c, &c->n_threads, 1);
    return t;
}

static void counted_join(void *user, void *thread) {
    counted *c = user;
    counted_thread *t = thread;
    (void)pthread_join(t->thread, NULL);
    free(t);
    count(c, &c->n_threads, -1);
}

void counted_init(counted *c, stage *s) {
    *c = (counted){
        .stage = s,
        .allocator = {sizeof c->allocator, c, counted_alloc, counted_free},
        .threads = {sizeof c->threads, c, counted_start, counted_join},
    };
}

bool counted_is_back(counted *c) {
    (void)pthread_mutex_lock(&c->stage->lock);
    size_t n_blocks = c->n_blocks, n_threads = c->n_threads;
    (void)pthread_mutex_unlock(&c->stage->lock);
    if (n_blocks + n_threads == 0) return true;
    stage_note(c->stage, "close has left %zu blocks of memory and %zu threads", n_blocks,
               n_threads);
    return false;
}
