/* SPDX-License-Identifier: MIT
 *
 * The pool: threads that help steps along.
 *
 * Each step has an inbox of events. The pool lists the steps whose inbox is not empty; a
 * worker takes one event of the first, goes into that step with it, works there until
 * it finds nothing more, and leaves. The caller of a step sleeps on the step's own
 * condition and takes events of its own step only, so a step run from inside a kernel
 * never buries another one.
 *
 * One lock guards inboxes, list and sleepers. It is taken when an event passes between
 * threads, not while blocks run: with no workers and no device queue, never. A poster
 * touches the step under the lock only: as soon as it is released, the step may be over
 * and gone, since the event may have been the last thing it waited for.
 */
#include "exec/step.h"

#include "base/thread.h"

struct pool {
    const df_allocator *alloc; /* (c) */
    const df_threads *threads; /* (c) */
    mutex lock;
    condition work;                 /* there is a listed step, or stop */
    step *first, *last;             /* (l) steps with events that workers may take */
    bool stop;                      /* (l) */
    kernel_op *free_ops, *made_ops; /* (l) */
    int n_workers;                  /* (c) */
    void **handles;                 /* (c) */
};

void pool_lock(pool *p) {
    mutex_lock(&p->lock);
}

void pool_unlock(pool *p) {
    mutex_unlock(&p->lock);
}

/* ---- inboxes ------------------------------------------------------------- */

static void list_step_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    if (s->listed || !s->shared) return;
    s->listed = true;
    s->next_listed = NULL;
    if (p->last)
        p->last->next_listed = s;
    else
        p->first = s;
    p->last = s;
    condition_signal(&p->work);
}

static void unlist_step_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    if (!s->listed) return;
    step **link = &p->first, *before = NULL;
    while (*link != s) {
        before = *link;
        link = &(*link)->next_listed;
    }
    *link = s->next_listed;
    if (p->last == s) p->last = before;
    s->listed = false;
}

static event *take_locked(pool *p, step *s, bool all) DF_REQUIRES(&p->lock) {
    event *e = s->inbox.first;
    if (!e) return NULL;
    s->inbox.first = all ? NULL : e->next;
    if (!all) e->next = NULL;
    if (!s->inbox.first) {
        s->inbox.last = NULL;
        atomic_put(&s->has_mail, 0, RELAXED);
        unlist_step_locked(p, s);
    }
    return e;
}

void pool_post(pool *p, step *s, event *e) {
    mutex_lock(&p->lock);
    e->next = NULL;
    if (s->inbox.last)
        s->inbox.last->next = e;
    else
        s->inbox.first = e;
    s->inbox.last = e;
    atomic_put(&s->has_mail, 1, RELAXED);
    list_step_locked(p, s);
    if (s->waiting) condition_signal(&s->wake);
    mutex_unlock(&p->lock);
}

event *pool_take(pool *p, step *s, bool all) {
    if (!atomic_get(&s->has_mail, RELAXED)) return NULL;
    mutex_lock(&p->lock);
    event *e = take_locked(p, s, all);
    mutex_unlock(&p->lock);
    return e;
}

void pool_over(pool *p, step *s) {
    mutex_lock(&p->lock);
    s->over = true;
    if (s->waiting) condition_signal(&s->wake);
    mutex_unlock(&p->lock);
}

event *pool_wait(pool *p, step *s) {
    mutex_lock(&p->lock);
    s->waiting = true;
    while (!s->over && !s->inbox.first) condition_wait(&s->wake, &p->lock);
    s->waiting = false;
    event *e = take_locked(p, s, false);
    mutex_unlock(&p->lock);
    return e;
}

/* ---- async kernels ------------------------------------------------------- */

kernel_op *pool_kernel_op(pool *p) {
    mutex_lock(&p->lock);
    kernel_op *k = p->free_ops;
    if (k) p->free_ops = k->next_free;
    mutex_unlock(&p->lock);
    if (k) return k;
    k = alloc_zeroed(p->alloc, sizeof *k);
    if (!k) return NULL;
    mutex_lock(&p->lock);
    k->next_made = p->made_ops;
    p->made_ops = k;
    mutex_unlock(&p->lock);
    return k;
}

void pool_kernel_op_free(pool *p, kernel_op *k) {
    mutex_lock(&p->lock);
    k->next_free = p->free_ops;
    p->free_ops = k;
    mutex_unlock(&p->lock);
}

/* ---- threads ------------------------------------------------------------- */

static void worker_main(void *arg) {
    pool *p = arg;
    mutex_lock(&p->lock);
    while (!p->stop) {
        step *s = p->first;
        if (!s) {
            condition_wait(&p->work, &p->lock);
            continue;
        }
        event *e = take_locked(p, s, false);
        if (p->first) condition_signal(&p->work); /* there is more: wake the next */
        mutex_unlock(&p->lock);
        s->help(s, e);
        mutex_lock(&p->lock);
    }
    mutex_unlock(&p->lock);
}

static void stop_workers(pool *p, int started) {
    mutex_lock(&p->lock);
    p->stop = true;
    condition_broadcast(&p->work);
    mutex_unlock(&p->lock);
    for (int i = 0; i < started; i++) thread_join(p->threads, p->handles[i]);
}

df_code pool_new(const df_allocator *alloc, const df_threads *threads, int workers, pool **out,
                 df_error *err) {
    pool *p = alloc_zeroed(alloc, sizeof *p);
    if (!p) return error_memory(err, "the pool of threads");
    p->alloc = alloc;
    p->threads = threads;
    bool has_lock = mutex_init(&p->lock), has_condition = condition_init(&p->work);
    p->handles = alloc_array(alloc, (size_t)workers, sizeof *p->handles);
    df_code code =
        has_lock && has_condition && p->handles ? DF_OK : error_memory(err, "the pool of threads");
    p->n_workers = workers;
    for (int i = 0; code == DF_OK && i < workers; i++) {
        code = thread_start(threads, "df worker", worker_main, p, &p->handles[i], err);
        if (code != DF_OK) stop_workers(p, i);
    }
    if (code == DF_OK) {
        *out = p;
        return DF_OK;
    }
    if (has_condition) condition_fini(&p->work);
    if (has_lock) mutex_fini(&p->lock);
    alloc_free(alloc, p->handles, (size_t)workers * sizeof *p->handles);
    alloc_free(alloc, p, sizeof *p);
    return code;
}

void pool_free(pool *p) {
    if (!p) return;
    stop_workers(p, p->n_workers);
    for (kernel_op *k = p->made_ops; k;) {
        kernel_op *next = k->next_made;
        alloc_free(p->alloc, k, sizeof *k);
        k = next;
    }
    condition_fini(&p->work);
    mutex_fini(&p->lock);
    alloc_free(p->alloc, p->handles, (size_t)p->n_workers * sizeof *p->handles);
    alloc_free(p->alloc, p, sizeof *p);
}

int pool_workers(const pool *p) {
    return p->n_workers;
}
