/* SPDX-License-Identifier: MIT */
#include "stress/soak.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

void ward_init(soak_ward *v) {
    *v = (soak_ward){.soon = NULL};
    assert_int_equal(pthread_mutex_init(&v->lock, NULL), 0);
    assert_int_equal(pthread_cond_init(&v->changed, NULL), 0);
}

void ward_fini(soak_ward *v) {
    (void)pthread_cond_destroy(&v->changed);
    (void)pthread_mutex_destroy(&v->lock);
}

void ward_add(soak_ward *v, soak_late *l, bool stuck) {
    (void)pthread_mutex_lock(&v->lock);
    soak_late **list = stuck ? &v->stuck : &v->soon;
    l->next = *list;
    *list = l;
    (void)pthread_cond_broadcast(&v->changed);
    (void)pthread_mutex_unlock(&v->lock);
}

static void set(soak_ward *v, bool *flag) {
    (void)pthread_mutex_lock(&v->lock);
    *flag = true;
    (void)pthread_cond_broadcast(&v->changed);
    (void)pthread_mutex_unlock(&v->lock);
}

void ward_rescue(soak_ward *v) {
    set(v, &v->rescues);
}

void ward_stop(soak_ward *v) {
    set(v, &v->stops);
}

/* The newest, or the one before. */
static soak_late *take(soak_late **list) {
    if (*list && (*list)->next) list = &(*list)->next;
    soak_late *l = *list;
    if (l) *list = l->next;
    return l;
}

static soak_late *take_from(soak_ward *v, bool soon, bool stuck) {
    (void)pthread_mutex_lock(&v->lock);
    soak_late *l = soon ? take(&v->soon) : NULL;
    if (!l && stuck) l = take(&v->stuck);
    (void)pthread_mutex_unlock(&v->lock);
    return l;
}

void ward_let_one_go(soak_ward *v) {
    soak_late *l = take_from(v, false, true);
    if (l) l->now(l);
}

void ward_empty(soak_ward *v) {
    for (soak_late *l; (l = take_from(v, true, true)) != NULL;) l->now(l);
}

size_t ward_count(soak_ward *v) {
    size_t n = 0;
    (void)pthread_mutex_lock(&v->lock);
    for (soak_late *l = v->soon; l; l = l->next) n++;
    for (soak_late *l = v->stuck; l; l = l->next) n++;
    (void)pthread_mutex_unlock(&v->lock);
    return n;
}

static soak_late *await(soak_ward *v) {
    soak_late *l = NULL;
    (void)pthread_mutex_lock(&v->lock);
    for (;;) {
        l = take(&v->soon);
        if (!l && v->rescues) l = take(&v->stuck);
        if (l || v->stops) break;
        (void)pthread_cond_wait(&v->changed, &v->lock);
    }
    (void)pthread_mutex_unlock(&v->lock);
    return l;
}

void ward_main(void *ward, int i) {
    (void)i;
    for (soak_late *l; (l = await(ward)) != NULL;) {
        l->now(l);
        soak_moves();
    }
}
