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
 * A thread of the program's own (pool_poll) does what a worker does, as long as there is
 * something to do; a program that lends threads is asked for one when there is (`wake`).
 *
 * Deadlines of runs that nobody waits for lie in a list, the soonest first. A thread that does
 * nothing else looks after it; where the pool has no threads at all, pool_poll does.
 *
 * One lock guards inboxes, lists and sleepers. It is taken when an event passes between
 * threads, not while blocks run: with no workers and no device queue, never. A poster
 * touches the step under the lock only: as soon as it is released, the step may be over
 * and gone, since the event may have been the last thing it waited for.
 */
#include "exec/step.h"

#include "base/clock.h"
#include "base/thread.h"

struct pool {
    const df_allocator *alloc; /* (c) */
    const df_threads *threads; /* (c) */
    int n_workers;             /* (c) */
    df_lent_threads lent;      /* (c) wake NULL: none */
    mutex lock;
    _Atomic uint32_t n_awake; /* (a) relaxed, a hint: threads of its own that do not sleep */
    _Atomic uint32_t news;    /* (a) relaxed, a hint: changes when they should look */
    condition work;           /* there is a listed step, or a sooner deadline, or stop */
    condition tick;           /* the same of deadlines, for the thread that looks after them */
    condition calm;           /* nobody starts threads any more, or wakes lent ones */
    step *first, *last;       /* (l) steps with events that workers may take */
    step *soonest, *latest;   /* (l) steps with deadlines */
    size_t n_beside;          /* (l) runs that nobody waits for */
    bool is_asked;            /* (l) a lent thread was, and none has come */
    int n_inside;     /* (l) threads that end runs, poll or wake: pool_stop waits for them */
    bool is_starting; /* (l) somebody is, outside of the lock */
    bool stop;        /* (l) */
    kernel_op *free_ops, *made_ops; /* (l) */
    void **handles;                 /* (l) n_workers, once started; behind them that of deadlines */
    mutex executors_lock;
    executor *executors; /* under executors_lock */
};

void pool_lock(pool *p) {
    mutex_lock(&p->lock);
}

void pool_unlock(pool *p) {
    mutex_unlock(&p->lock);
}

bool pool_enter(pool *p) {
    mutex_lock(&p->lock);
    bool stays = !p->stop;
    p->n_inside += stays;
    mutex_unlock(&p->lock);
    return stays;
}

void pool_exit(pool *p) {
    mutex_lock(&p->lock);
    if (--p->n_inside == 0) condition_broadcast(&p->calm);
    mutex_unlock(&p->lock);
}

executor *pool_executors_lock(pool *p) {
    mutex_lock(&p->executors_lock);
    return p->executors;
}

void pool_executors_unlock(pool *p) {
    mutex_unlock(&p->executors_lock);
}

void pool_add(pool *p, executor *x) {
    mutex_lock(&p->executors_lock);
    x->next = p->executors;
    if (x->next) x->next->last = x;
    p->executors = x;
    mutex_unlock(&p->executors_lock);
}

void pool_remove(pool *p, executor *x) {
    mutex_lock(&p->executors_lock);
    executor **link = x->last ? &x->last->next : &p->executors;
    if (*link == x) *link = x->next; /* else it was never added */
    if (x->next) x->next->last = x->last;
    mutex_unlock(&p->executors_lock);
}

/* ---- asking for lent threads --------------------------------------------- */

/* True: call wake, without the lock. Until then the pool stays. */
static bool ask_locked(pool *p) DF_REQUIRES(&p->lock) {
    if (!p->lent.wake || p->is_asked || p->stop) return false;
    p->is_asked = true;
    p->n_inside++;
    return true;
}

/* Whoever goes off with an event leaves more for the next. True: as ask_locked. */
static bool more_locked(pool *p) DF_REQUIRES(&p->lock) {
    if (!p->first) return false;
    condition_signal(&p->work);
    return ask_locked(p);
}

static void wake(pool *p) DF_EXCLUDES(&p->lock) {
    DF_SCHED_POINT();
    p->lent.wake(p->lent.user);
    pool_exit(p);
}

/* ---- looking for work before sleeping -------------------------------------- */

/* Of what is written under the lock. */
static void tell(_Atomic uint32_t *news) {
    atomic_put(news, atomic_get(news, RELAXED) + 1, RELAXED);
}

/* Returns when there are other news than `seen`, or when it has taken too long. */
static void spin(const _Atomic uint32_t *news, uint32_t seen) {
    enum { TURNS = 64 };
    if (sched_is_simulated()) return;
    uint64_t until = clock_now() + POOL_SPIN;
    do
        for (int i = 0; i < TURNS; i++) {
            if (atomic_get(news, RELAXED) != seen) return;
            thread_pause();
        }
    while (clock_now() < until);
}

bool pool_is_awake(pool *p) {
    return atomic_get(&p->n_awake, RELAXED) > 0;
}

/* ---- inboxes ------------------------------------------------------------- */

/* True: as ask_locked. */
static bool list_step_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    if (s->listed || !s->shared) return false;
    s->listed = true;
    s->next_listed = NULL;
    if (p->last)
        p->last->next_listed = s;
    else
        p->first = s;
    p->last = s;
    tell(&p->news);
    condition_signal(&p->work);
    return ask_locked(p);
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
    atomic_put(&s->idle_since, 0, RELAXED);
    return e;
}

void pool_post(pool *p, step *s, event *e) {
    mutex_lock(&p->lock);
    if (s->abandoned) { /* nobody may be there to take it; it runs no kernel */
        mutex_unlock(&p->lock);
        run_help(s, e);
        return;
    }
    e->next = NULL;
    if (s->inbox.last)
        s->inbox.last->next = e;
    else
        s->inbox.first = e;
    s->inbox.last = e;
    atomic_put(&s->has_mail, 1, RELAXED);
    tell(&s->news);
    bool asks = list_step_locked(p, s);
    if (s->waiting) condition_signal(&s->wake);
    mutex_unlock(&p->lock);
    if (asks) wake(p);
}

event *pool_take(pool *p, step *s, bool all) {
    mutex_lock(&p->lock);
    event *e = take_locked(p, s, all);
    mutex_unlock(&p->lock);
    return e;
}

/* ---- deadlines ----------------------------------------------------------- */

/* Most are the latest so far. */
static void time_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    step *before = p->latest;
    while (before && before->rq.deadline > s->rq.deadline) before = before->sooner;
    s->sooner = before;
    s->later = before ? before->later : p->soonest;
    *(s->sooner ? &s->sooner->later : &p->soonest) = s;
    *(s->later ? &s->later->sooner : &p->latest) = s;
    s->is_timed = true;
}

static void untime_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    if (!s->is_timed) return;
    s->is_timed = false;
    *(s->sooner ? &s->sooner->later : &p->soonest) = s->later;
    *(s->later ? &s->later->sooner : &p->latest) = s->sooner;
}

/* True: the calling thread is the one that ends the run early, with a token. */
static bool end_locked(pool *p, step *s) DF_REQUIRES(&p->lock) {
    (void)p;
    if (s->is_ending || !live_try_hold(&s->live)) return false;
    s->is_ending = true;
    return true;
}

/* A run whose deadline has passed, to be ended; NULL: none, and when the next one is. */
static step *late_locked(pool *p, uint64_t *next) DF_REQUIRES(&p->lock) {
    *next = UINT64_MAX;
    for (step *s; (s = p->soonest) != NULL;) {
        *next = s->rq.deadline;
        if (*next > clock_now()) return NULL;
        untime_locked(p, s);
        if (end_locked(p, s)) return s;
    }
    return NULL;
}

bool pool_is_ending(pool *p, step *s) {
    mutex_lock(&p->lock);
    bool mine = end_locked(p, s);
    mutex_unlock(&p->lock);
    return !mine;
}

/* ---- the beginning and the end of a run ---------------------------------- */

void pool_begin(pool *p, step *s) {
    bool asks = false;
    mutex_lock(&p->lock);
    if (!s->left) {
        s->is_beside = true;
        p->n_beside++;
    }
    if (s->rq.deadline && !s->abandoned) time_locked(p, s);
    if (p->soonest == s) {
        condition_signal(&p->tick);
        condition_broadcast(&p->work);
        asks = !p->lent.count && ask_locked(p);
    }
    mutex_unlock(&p->lock);
    if (asks) wake(p);
}

void pool_told(pool *p, step *s) {
    mutex_lock(&p->lock);
    if (s->is_beside && --p->n_beside == 0) condition_broadcast(&p->work);
    s->is_beside = false;
    s->left = true;
    mutex_unlock(&p->lock);
}

bool pool_over(pool *p, step *s) {
    mutex_lock(&p->lock);
    bool has_caller = !s->rq.done && !s->left;
    s->over = true;
    tell(&s->news);
    untime_locked(p, s);
    if (s->waiting) condition_signal(&s->wake);
    mutex_unlock(&p->lock);
    return has_caller;
}

void pool_abandon(pool *p, step *s, df_error *why) {
    mutex_lock(&p->lock);
    untime_locked(p, s);
    s->abandoned = true;
    tell(&s->news);
    *why = s->error;
    if (s->waiting) condition_signal(&s->wake);
    mutex_unlock(&p->lock);
}

wait_end pool_wait(pool *p, step *s, event **e) {
    wait_end end = WAIT_EVENT;
    mutex_lock(&p->lock);
    if (s->shared && p->n_workers && !s->inbox.first && !s->over && !s->abandoned) {
        uint32_t seen = atomic_get(&s->news, RELAXED);
        mutex_unlock(&p->lock);
        spin(&s->news, seen);
        mutex_lock(&p->lock);
    }
    s->waiting = true;
    for (*e = NULL; !*e && end == WAIT_EVENT;) {
        if (s->over)
            end = WAIT_OVER;
        else if (s->abandoned)
            end = WAIT_TOLD;
        else if (s->inbox.first)
            *e = take_locked(p, s, false);
        else if (s->rq.deadline && clock_now() >= s->rq.deadline && end_locked(p, s))
            end = WAIT_LATE;
        else {
            atomic_put(&s->idle_since, clock_now(), RELAXED);
            if (s->rq.deadline && !s->is_ending)
                condition_wait_until(&s->wake, &p->lock, s->rq.deadline);
            else
                condition_wait(&s->wake, &p->lock);
        }
    }
    s->waiting = false;
    mutex_unlock(&p->lock);
    return end;
}

bool pool_leave(pool *p, step *s, df_error *why) {
    mutex_lock(&p->lock);
    bool goes = !s->over;
    s->left = goes;
    if (goes) *why = s->error;
    mutex_unlock(&p->lock);
    return goes;
}

/* ---- threads of the program's own ---------------------------------------- */

size_t pool_poll(pool *p, uint64_t timeout, uint64_t *next) {
    uint64_t until = clock_after(timeout), soonest;
    bool did = false, asks;
    mutex_lock(&p->lock);
    p->is_asked = false;
    p->n_inside++;
    for (;;) {
        step *s = late_locked(p, &soonest);
        event *e = NULL;
        if (!s && p->first) e = take_locked(p, (s = p->first), false);
        if (s) {
            asks = more_locked(p);
            mutex_unlock(&p->lock);
            if (asks) wake(p);
            if (e)
                run_help(s, e);
            else
                run_end_late(s);
            did = true;
            mutex_lock(&p->lock);
        } else if (did || p->n_beside == 0 || p->stop || until <= clock_now()) {
            break;
        } else {
            condition_wait_until(&p->work, &p->lock, soonest < until ? soonest : until);
        }
    }
    size_t n = p->n_beside;
    mutex_unlock(&p->lock);
    pool_exit(p);
    uint64_t now = clock_now();
    if (next) *next = soonest == UINT64_MAX ? UINT64_MAX : soonest > now ? soonest - now : 0;
    return n;
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

/* May return early. Who has just worked looks for more first. */
static void wait_for_work_locked(pool *p, bool has_worked) DF_REQUIRES(&p->lock);
static void wait_for_work_locked(pool *p, bool has_worked) {
    if (has_worked) {
        uint32_t seen = atomic_get(&p->news, RELAXED);
        mutex_unlock(&p->lock);
        spin(&p->news, seen);
        mutex_lock(&p->lock);
        if (p->first || p->stop) return;
    }
    atomic_put(&p->n_awake, atomic_get(&p->n_awake, RELAXED) - 1, RELAXED);
    condition_wait(&p->work, &p->lock);
    atomic_put(&p->n_awake, atomic_get(&p->n_awake, RELAXED) + 1, RELAXED);
}

static void worker_main(void *arg) {
    pool *p = arg;
    bool has_worked = false;
    mutex_lock(&p->lock);
    atomic_put(&p->n_awake, atomic_get(&p->n_awake, RELAXED) + 1, RELAXED);
    while (!p->stop) {
        step *s = p->first;
        if (!s) {
            wait_for_work_locked(p, has_worked);
            has_worked = false;
            continue;
        }
        event *e = take_locked(p, s, false);
        (void)more_locked(p); /* with workers there are no threads to be asked for */
        mutex_unlock(&p->lock);
        run_help(s, e);
        has_worked = true;
        mutex_lock(&p->lock);
    }
    atomic_put(&p->n_awake, atomic_get(&p->n_awake, RELAXED) - 1, RELAXED);
    mutex_unlock(&p->lock);
}

static void watch_main(void *arg) {
    pool *p = arg;
    uint64_t next;
    mutex_lock(&p->lock);
    while (!p->stop) {
        step *s = late_locked(p, &next);
        if (s) {
            mutex_unlock(&p->lock);
            run_end_late(s);
            mutex_lock(&p->lock);
        } else if (next == UINT64_MAX) {
            condition_wait(&p->tick, &p->lock);
        } else {
            condition_wait_until(&p->tick, &p->lock, next);
        }
    }
    mutex_unlock(&p->lock);
}

/* One at a time; the lock is let go, since the threads are the user's. */
static void begin_starting_locked(pool *p) DF_REQUIRES(&p->lock) {
    while (p->is_starting) condition_wait(&p->calm, &p->lock);
    p->is_starting = true;
}

static void end_starting_locked(pool *p) DF_REQUIRES(&p->lock) {
    p->is_starting = false;
    condition_broadcast(&p->calm);
}

static void join(pool *p, int first, int n) {
    for (int i = first; i < first + n; i++)
        if (p->handles[i]) thread_join(p->threads, p->handles[i]);
}

/* The n threads from handles[first] on, or none. */
static df_code start_threads(pool *p, int first, int n, const char *name, void (*body)(void *),
                             df_error *err) {
    df_code code = DF_OK;
    int i = 0;
    mutex_lock(&p->lock);
    begin_starting_locked(p);
    bool needed = n && !p->handles[first];
    mutex_unlock(&p->lock);
    for (; needed && code == DF_OK && i < n; i++)
        code = thread_start(p->threads, name, body, p, &p->handles[first + i], err);
    mutex_lock(&p->lock);
    if (i > 1 && code != DF_OK) { /* those that there are go at once, and may then come again */
        p->stop = true;
        condition_broadcast(&p->work);
        mutex_unlock(&p->lock);
        join(p, first, i - 1);
        mutex_lock(&p->lock);
        for (int k = 0; k < n; k++) p->handles[first + k] = NULL;
        p->stop = false;
    }
    end_starting_locked(p);
    mutex_unlock(&p->lock);
    return code;
}

df_code pool_start(pool *p, df_error *err) {
    return start_threads(p, 0, p->n_workers, "df worker", worker_main, err);
}

df_code pool_watch(pool *p, df_error *err) {
    return start_threads(p, p->n_workers, pool_helpers(p) > 0, "df deadlines", watch_main, err);
}

df_code pool_new(const df_allocator *alloc, const df_threads *threads, int workers,
                 const df_lent_threads *lent, pool **out, df_error *err) {
    pool *p = alloc_zeroed(alloc, sizeof *p);
    if (!p) return error_memory(err, "the pool of threads");
    p->alloc = alloc;
    p->threads = threads;
    p->n_workers = workers;
    if (lent) p->lent = *lent;
    p->handles = alloc_array(alloc, (size_t)workers + 1, sizeof *p->handles);
    mutex *locks[] = {&p->lock, &p->executors_lock};
    condition *conditions[] = {&p->work, &p->tick, &p->calm};
    int n = 0;
    while (n < 2 && p->handles && mutex_init(locks[n])) n++;
    while (n >= 2 && n < 5 && condition_init(conditions[n - 2])) n++;
    if (n == 5) {
        *out = p;
        return DF_OK;
    }
    while (n > 2) condition_fini(conditions[--n - 2]);
    while (n > 0) mutex_fini(locks[--n]);
    alloc_free(alloc, p->handles, ((size_t)workers + 1) * sizeof *p->handles);
    alloc_free(alloc, p, sizeof *p);
    return error_memory(err, "the pool of threads");
}

void pool_stop(pool *p) {
    df_error why;
    (void)error_set(&why, DF_CANCELLED, "the runtime was freed");
    runs_end(p, NULL, NULL, &why);
    mutex_lock(&p->lock);
    begin_starting_locked(p);
    p->stop = true;
    tell(&p->news);
    condition_broadcast(&p->work);
    condition_broadcast(&p->tick);
    while (p->n_inside) condition_wait(&p->calm, &p->lock);
    end_starting_locked(p);
    mutex_unlock(&p->lock);
    join(p, 0, p->n_workers + 1);
}

void pool_free(pool *p) {
    if (!p) return;
    for (kernel_op *k = p->made_ops; k;) {
        kernel_op *next = k->next_made;
        alloc_free(p->alloc, k, sizeof *k);
        k = next;
    }
    condition_fini(&p->calm);
    condition_fini(&p->tick);
    condition_fini(&p->work);
    mutex_fini(&p->executors_lock);
    mutex_fini(&p->lock);
    alloc_free(p->alloc, p->handles, ((size_t)p->n_workers + 1) * sizeof *p->handles);
    alloc_free(p->alloc, p, sizeof *p);
}

int pool_helpers(const pool *p) {
    return p->n_workers + p->lent.count;
}
