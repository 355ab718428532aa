/* SPDX-License-Identifier: MIT
 *
 * The machine. A word that is used atomically is a list of messages, its values in the order in
 * which it took them ("modification order"). A thread has a view: for each word the message from
 * which on it may read, and for each thread how far it is known. A message carries the view that
 * its writer released with it.
 *
 *   load     any message from the view's on; acquire: the view grows by the message's
 *   store    a new message, behind the view's; never between a message and the read-modify-write
 *            that read it; release: it carries the writer's view
 *   rmw      reads a message that no other rmw has read, and stands right behind it; it carries
 *            that message's view too, and so a release sequence goes on through it
 *   lock     a word that hands on the view of who had it before
 *
 * What may be read and where may be stored are picks of df_schedules, beside who goes next; so
 * all executions are gone through in which a load reads from a store that was executed before it.
 * RC11 has no others.
 *
 *  1. The first pick is the newest message, the last place: the first schedule is as on one core.
 *  2. The state is the execution so far: what each thread did and which message it read, and the
 *     order of each word's messages. All else follows from it: the views, and, as long as there is
 *     no race, the plain memory and each thread's own variables. Two schedules that make the same
 *     execution are one.
 *  3. Plain memory holds the last message of each word, for who looks after the run, and the first
 *     message of a word is what lies there when it is used first.
 *  4. A plain access is a race if there was one of another thread to the same byte, one of the two
 *     a write and not both atomic, and this thread's view does not know that one. What setup wrote
 *     and check reads is known to all.
 */
#include "model/weak/weak.h"

#include "base/mutex.h"

#include <stdlib.h>

#undef memset
#undef memcpy

enum { THREADS = 7, WORDS = 96, MESSAGES = 40, LOCKS = 16, SITES = 128, MAIN = 0 };

typedef struct view {
    uint16_t known[THREADS]; /* of each thread, its ticks */
    uint8_t from[WORDS];     /* of each word, a message */
} view;

typedef struct message {
    uint64_t value;
    view released;
    uint64_t name; /* who wrote it, and as what: the same in every schedule */
    bool is_rmw;   /* stands right behind the one that it read */
} message;

typedef struct word {
    uintptr_t at;
    size_t size;
    int n;
    message messages[MESSAGES]; /* as they were made */
    uint8_t order[MESSAGES];    /* the word's values, as they followed each other */
    uint8_t place[MESSAGES];    /* in `order` */
} word;

typedef struct lock {
    uintptr_t at;
    bool is_held;
    view released;
    uint64_t name; /* of the last unlock */
} lock;

typedef struct thread {
    view v;
    uint64_t done; /* a hash of all that it did */
    uint16_t n_done;
} thread;

/* One byte of plain memory: the last accesses of each thread, by its ticks. 0: none. */
typedef struct shadow {
    uint32_t run;  /* what is of another is void */
    uint8_t users; /* a bit for each thread */
    uint16_t reads[THREADS], writes[THREADS], atomic_reads[THREADS], atomic_writes[THREADS];
} shadow;

static struct {
    df_schedules of; /* the test's own */
    bool runs;       /* actors do; else setup or check */
    uint32_t run;
    uintptr_t world;
    size_t size;
    shadow *bytes; /* of the world */
    thread threads[THREADS];
    word words[WORDS];
    int n_words;
    lock locks[LOCKS];
    int n_locks;
    weak_site sites[SITES];
    int n_sites;
    int spoilt; /* site */
    weak_plant how;
} m;

static int me(void) {
    return m.runs ? df_schedules_actor() + 1 : MAIN;
}

static uint64_t mix(uint64_t h, uint64_t with) {
    h = (h ^ with) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

/* Everything that a thread does is told here. Returns a name for it. */
static uint64_t did(thread *t, uint64_t what, uintptr_t at, uint64_t from) {
    t->done = mix(mix(mix(t->done, what), at), from);
    t->n_done++;
    return (uint64_t)(t - m.threads) << 32 | t->n_done;
}

/* ---- views --------------------------------------------------------------- */

static void learn(view *v, const view *more) {
    for (int i = 0; i < THREADS; i++)
        if (v->known[i] < more->known[i]) v->known[i] = more->known[i];
    for (int i = 0; i < m.n_words; i++) {
        const word *w = &m.words[i];
        if (w->place[v->from[i]] < w->place[more->from[i]]) v->from[i] = more->from[i];
    }
}

/* What is to be known of this thread by who sees what it releases now; what it does next is not. */
static view release(thread *t) {
    view v = t->v;
    t->v.known[t - m.threads]++;
    return v;
}

/* ---- plain memory -------------------------------------------------------- */

static bool is_watched(uintptr_t at) {
    return m.runs && at >= m.world && at < m.world + m.size;
}

static shadow *shadow_of(uintptr_t at, int mine) {
    shadow *s = &m.bytes[at - m.world];
    if (s->run != m.run) *s = (shadow){.run = m.run};
    s->users |= (uint8_t)(1u << mine);
    return s;
}

/* Those of others must be known. */
static void look(const uint16_t *others, uintptr_t at, const char *does, const char *did) {
    const int mine = me();
    const thread *t = &m.threads[mine];
    for (int i = 1; i < THREADS; i++)
        if (others[i] > t->v.known[i] && i != mine)
            dfs_fail("race: actor %d %s byte %zu of the world, and nothing orders that behind "
                     "actor %d, which %s it",
                     mine - 1, does, (size_t)(at - m.world), i - 1, did);
}

static void plain_read(uintptr_t at, size_t size) {
    if (!is_watched(at)) return;
    const int mine = me();
    for (uintptr_t a = at; a < at + size; a++) {
        shadow *s = shadow_of(a, mine);
        s->reads[mine] = m.threads[mine].v.known[mine];
        if (s->users == 1u << mine) continue;
        look(s->writes, a, "reads", "writes");
        look(s->atomic_writes, a, "reads", "changes");
    }
}

static void forget_words(uintptr_t at, size_t size);

static void plain_write(uintptr_t at, size_t size) {
    if (!is_watched(at)) return;
    const int mine = me();
    for (uintptr_t a = at; a < at + size; a++) {
        shadow *s = shadow_of(a, mine);
        s->writes[mine] = m.threads[mine].v.known[mine];
        if (s->users == 1u << mine) continue;
        look(s->writes, a, "writes", "writes");
        look(s->reads, a, "writes", "reads");
        look(s->atomic_writes, a, "writes", "changes");
        look(s->atomic_reads, a, "writes", "looks at");
    }
    forget_words(at, size);
}

static void atomic_access(uintptr_t at, size_t size, bool reads, bool writes) {
    if (!is_watched(at)) return;
    const int mine = me();
    for (uintptr_t a = at; a < at + size; a++) {
        shadow *s = shadow_of(a, mine);
        if (reads) s->atomic_reads[mine] = m.threads[mine].v.known[mine];
        if (writes) s->atomic_writes[mine] = m.threads[mine].v.known[mine];
        look(s->writes, a, "uses", "writes");
        if (writes) look(s->reads, a, "changes", "reads");
    }
}

/* ---- words --------------------------------------------------------------- */

static uint64_t peek(uintptr_t at, size_t size) {
    uint64_t value = 0;
    memcpy(&value, (const void *)at, size);
    return value;
}

/* What lies there now is its only message, of nobody. */
static void word_begin(word *w, uintptr_t at, size_t size) {
    *w = (word){.at = at, .size = size, .n = 1};
    w->messages[0].value = peek(at, size);
    int i = (int)(w - m.words);
    for (int t = 0; t < THREADS; t++) m.threads[t].v.from[i] = 0;
}

/* Somebody has written there as if it were plain memory, and was ordered behind all others. */
static void forget_words(uintptr_t at, size_t size) {
    for (int i = 0; i < m.n_words; i++)
        if (m.words[i].at - at < size) m.words[i].size = 0;
}

static word *word_of(uintptr_t at, size_t size) {
    for (int i = 0; i < m.n_words; i++) {
        word *w = &m.words[i];
        if (w->at != at) continue;
        if (w->size == 0) word_begin(w, at, size);
        if (w->size != size) dfs_fail("a word is used with two sizes");
        return w;
    }
    if (m.n_words == WORDS) {
        dfs_fail("too many words");
        return &m.words[0];
    }
    word_begin(&m.words[m.n_words], at, size);
    return &m.words[m.n_words++];
}

static uint8_t *from_of(thread *t, const word *w) {
    return &t->v.from[w - m.words];
}

/* At this place of the order. */
static message *insert(word *w, int place, message new, thread *t) {
    if (w->n == MESSAGES) {
        dfs_fail("too many changes of one word");
        return &w->messages[0];
    }
    int id = w->n++;
    w->messages[id] = new;
    for (int p = w->n - 1; p > place; p--) {
        w->order[p] = w->order[p - 1];
        w->place[w->order[p]] = (uint8_t)p;
    }
    w->order[place] = (uint8_t)id;
    w->place[id] = (uint8_t)place;
    *from_of(t, w) = (uint8_t)id;
    w->messages[id].released.from[w - m.words] = (uint8_t)id;
    if (place == w->n - 1) memcpy((void *)w->at, &new.value, w->size);
    return &w->messages[id];
}

/* ---- orders -------------------------------------------------------------- */

static bool acquires(memory_order o) {
    return o != memory_order_relaxed && o != memory_order_release;
}

static bool releases(memory_order o) {
    return o == memory_order_release || o == memory_order_acq_rel || o == memory_order_seq_cst;
}

/* The site, which is added if it is new. */
static int site_of(weak_place p, const char *what, memory_order o, memory_order failure) {
    int i = 0;
    while (i < m.n_sites &&
           (m.sites[i].place.line != p.line || strcmp(m.sites[i].place.function, p.function) != 0))
        i++;
    if (i == m.n_sites) {
        if (i == SITES) return -1;
        bool is_rmw = *what != 'l' && what[1] != 't';
        m.n_sites++;
        m.sites[i] = (weak_site){.place = p,
                                 .what = what,
                                 .can[WEAK_NO_ACQUIRE] = acquires(o) || acquires(failure),
                                 .can[WEAK_NO_RELEASE] = releases(o),
                                 .can[WEAK_TORN] = is_rmw};
    }
    if (o == memory_order_seq_cst)
        dfs_fail("%s:%d: seq_cst is no part of this", p.function, p.line);
    return i;
}

static bool is_spoilt(int site, weak_plant how) {
    return site == m.spoilt && how == m.how;
}

/* ---- operations ---------------------------------------------------------- */

/* The k-th before the last, of those that t may read; of an rmw: that no other has read. */
static int count_readable(const word *w, thread *t) {
    return w->n - w->place[*from_of(t, w)];
}

static bool is_taken(const word *w, int place) {
    return place + 1 < w->n && w->messages[w->order[place + 1]].is_rmw;
}

static message *read_at(word *w, int place, thread *t, bool acquire, uint64_t what) {
    message *from = &w->messages[w->order[place]];
    *from_of(t, w) = w->order[place];
    if (acquire) learn(&t->v, &from->released);
    (void)did(t, what, w->at, from->name);
    return from;
}

static uint64_t do_load(uintptr_t at, size_t size, bool acquire) {
    thread *t = &m.threads[me()];
    word *w = word_of(at, size);
    atomic_access(at, size, true, false);
    int k = df_schedules_pick(count_readable(w, t));
    return read_at(w, w->n - 1 - k, t, acquire, 'l')->value;
}

static void do_store(uintptr_t at, size_t size, uint64_t value, bool release_it) {
    thread *t = &m.threads[me()];
    word *w = word_of(at, size);
    atomic_access(at, size, false, true);
    int places[MESSAGES], n = 0;
    for (int p = w->n; p > w->place[*from_of(t, w)]; p--)
        if (p == w->n || !w->messages[w->order[p]].is_rmw) places[n++] = p;
    message new = {.value = value, .name = did(t, 's', at, 0)};
    if (release_it) new.released = release(t);
    (void)insert(w, places[df_schedules_pick(n)], new, t);
}

/* Reads one of the messages that may be read; where `wanted` is given, a message of another value
 * is only read. True: it was changed. */
static bool do_rmw(uintptr_t at, size_t size, const uint64_t *wanted, bool acquire, bool release_it,
                   bool acquire_on_failure, uint64_t (*next)(uint64_t old, uint64_t with),
                   uint64_t with, uint64_t *old) {
    thread *t = &m.threads[me()];
    word *w = word_of(at, size);
    int places[MESSAGES], n = 0;
    for (int p = w->n - 1; p >= w->place[*from_of(t, w)]; p--) {
        bool changes = !wanted || w->messages[w->order[p]].value == *wanted;
        if (!changes || !is_taken(w, p)) places[n++] = p;
    }
    int place = places[df_schedules_pick(n)];
    bool changes = !wanted || w->messages[w->order[place]].value == *wanted;
    atomic_access(at, size, true, changes);
    const message *from = read_at(w, place, t, changes ? acquire : acquire_on_failure, 'u');
    *old = from->value;
    if (!changes) return false;
    message new = {.value = next(*old, with),
                   .name = did(t, 'U', at, 0),
                   .released = from->released,
                   .is_rmw = true};
    if (size < sizeof new.value) new.value &= (UINT64_C(1) << 8 * size) - 1;
    view known = from->released;
    (void)insert(w, place + 1, new, t);
    message *made = &w->messages[w->n - 1];
    if (release_it) {
        view own = release(t);
        made->released = own;
        learn(&made->released, &known);
    }
    made->released.from[w - m.words] = *from_of(t, w);
    return true;
}

static uint64_t sum(uint64_t old, uint64_t with) {
    return old + with;
}

static uint64_t exchange(uint64_t old, uint64_t with) {
    (void)old;
    return with;
}

/* As the library does it, or spoilt. */
static bool rmw(volatile void *p, size_t size, const uint64_t *wanted, memory_order success,
                memory_order failure, uint64_t (*next)(uint64_t old, uint64_t with), uint64_t with,
                uint64_t *old, int site) {
    uintptr_t at = (uintptr_t)p;
    bool acquire = !is_spoilt(site, WEAK_NO_ACQUIRE);
    df_schedules_point();
    if (is_spoilt(site, WEAK_TORN)) {
        *old = do_load(at, size, acquires(success));
        if (wanted && *old != *wanted) return false;
        df_schedules_point();
        do_store(at, size, next(*old, with), releases(success));
        return true;
    }
    return do_rmw(at, size, wanted, acquire && acquires(success),
                  releases(success) && !is_spoilt(site, WEAK_NO_RELEASE),
                  acquire && acquires(failure), next, with, old);
}

uint64_t weak_load(const volatile void *at, size_t size, memory_order order, weak_place place) {
    int site = site_of(place, "load", order, memory_order_relaxed);
    df_schedules_point();
    return do_load((uintptr_t)at, size, acquires(order) && !is_spoilt(site, WEAK_NO_ACQUIRE));
}

void weak_store(volatile void *at, size_t size, uint64_t value, memory_order order,
                weak_place place) {
    int site = site_of(place, "store", order, memory_order_relaxed);
    df_schedules_point();
    do_store((uintptr_t)at, size, value, releases(order) && !is_spoilt(site, WEAK_NO_RELEASE));
}

uint64_t weak_swap(volatile void *at, size_t size, uint64_t value, memory_order order,
                   weak_place place) {
    uint64_t old;
    (void)rmw(at, size, NULL, order, memory_order_relaxed, exchange, value, &old,
              site_of(place, "swap", order, memory_order_relaxed));
    return old;
}

uint64_t weak_add(volatile void *at, size_t size, uint64_t value, memory_order order,
                  weak_place place) {
    uint64_t old;
    (void)rmw(at, size, NULL, order, memory_order_relaxed, sum, value, &old,
              site_of(place, "add", order, memory_order_relaxed));
    return old;
}

bool weak_cas(volatile void *at, size_t size, void *expected, uint64_t value, memory_order success,
              memory_order failure, weak_place place) {
    uint64_t wanted = peek((uintptr_t)expected, size), old;
    if (rmw(at, size, &wanted, success, failure, exchange, value, &old,
            site_of(place, "cas", success, failure)))
        return true;
    memcpy(expected, &old, size);
    return false;
}

void weak_init(volatile void *at, size_t size, uint64_t value) {
    plain_write((uintptr_t)at, size);
    forget_words((uintptr_t)at, size);
    memcpy((void *)(uintptr_t)at, &value, size);
}

void *weak_memset(void *at, int byte, size_t size) {
    plain_write((uintptr_t)at, size);
    return memset(at, byte, size);
}

void *weak_memcpy(void *to, const void *from, size_t size) {
    plain_read((uintptr_t)from, size);
    plain_write((uintptr_t)to, size);
    return memcpy(to, from, size);
}

/* ---- locks, in place of base/mutex.c -------------------------------------- */

static lock *lock_of(const mutex *x) {
    for (int i = 0; i < m.n_locks; i++)
        if (m.locks[i].at == (uintptr_t)x) return &m.locks[i];
    if (m.n_locks == LOCKS) {
        dfs_fail("too many locks");
        return &m.locks[0];
    }
    m.locks[m.n_locks] = (lock){.at = (uintptr_t)x};
    return &m.locks[m.n_locks++];
}

bool mutex_init(mutex *x) {
    *lock_of(x) = (lock){.at = (uintptr_t)x};
    return true;
}

void mutex_fini(mutex *x) {
    if (lock_of(x)->is_held) dfs_fail("a lock goes that is held");
}

DF_UNCHECKED void mutex_lock(mutex *x) {
    df_schedules_point();
    while (lock_of(x)->is_held) df_schedules_blocked();
    lock *l = lock_of(x);
    thread *t = &m.threads[me()];
    l->is_held = true;
    learn(&t->v, &l->released);
    (void)did(t, 'L', l->at, l->name);
}

DF_UNCHECKED void mutex_unlock(mutex *x) {
    lock *l = lock_of(x);
    thread *t = &m.threads[me()];
    l->name = did(t, 'R', l->at, 0);
    l->released = release(t);
    l->is_held = false;
}

bool condition_init(condition *c) {
    c->sleepers = NULL;
    return true;
}

void condition_fini(condition *c) {
    (void)c;
}

void condition_wait(condition *c, mutex *x) {
    (void)c;
    (void)x;
    dfs_fail("sleep is no part of this");
    df_schedules_blocked();
}

void condition_wait_until(condition *c, mutex *x, uint64_t until) {
    (void)until;
    condition_wait(c, x);
}

void condition_signal(condition *c) {
    (void)c;
}

void condition_broadcast(condition *c) {
    (void)c;
}

/* ---- what the compiler reports, as for the thread sanitizer ---------------- */

#define REPORTED(BYTES)                                                                            \
    void __tsan_read##BYTES(void *at);                                                             \
    void __tsan_write##BYTES(void *at);                                                            \
    void __tsan_unaligned_read##BYTES(void *at);                                                   \
    void __tsan_unaligned_write##BYTES(void *at);                                                  \
    void __tsan_volatile_read##BYTES(void *at);                                                    \
    void __tsan_volatile_write##BYTES(void *at);                                                   \
    void __tsan_read##BYTES(void *at) {                                                            \
        plain_read((uintptr_t)at, BYTES);                                                          \
    }                                                                                              \
    void __tsan_write##BYTES(void *at) {                                                           \
        plain_write((uintptr_t)at, BYTES);                                                         \
    }                                                                                              \
    void __tsan_unaligned_read##BYTES(void *at) {                                                  \
        plain_read((uintptr_t)at, BYTES);                                                          \
    }                                                                                              \
    void __tsan_unaligned_write##BYTES(void *at) {                                                 \
        plain_write((uintptr_t)at, BYTES);                                                         \
    }                                                                                              \
    void __tsan_volatile_read##BYTES(void *at) {                                                   \
        plain_read((uintptr_t)at, BYTES);                                                          \
    }                                                                                              \
    void __tsan_volatile_write##BYTES(void *at) {                                                  \
        plain_write((uintptr_t)at, BYTES);                                                         \
    }
REPORTED(1)
REPORTED(2)
REPORTED(4)
REPORTED(8)
REPORTED(16)

void __tsan_read_range(void *at, size_t size);
void __tsan_write_range(void *at, size_t size);
void __tsan_init(void);
void __tsan_func_entry(void *caller);
void __tsan_func_exit(void *caller);

void __tsan_read_range(void *at, size_t size) {
    plain_read((uintptr_t)at, size);
}
void __tsan_write_range(void *at, size_t size) {
    plain_write((uintptr_t)at, size);
}
void __tsan_init(void) {
}
void __tsan_func_entry(void *caller) {
    (void)caller;
}
void __tsan_func_exit(void *caller) {
    (void)caller;
}

/* ---- runs ---------------------------------------------------------------- */

static void setup(void *world) {
    m.runs = false;
    m.run++;
    m.n_words = m.n_locks = 0;
    for (int i = 0; i < THREADS; i++) {
        m.threads[i] = (thread){.done = 1};
        for (int k = 0; k < THREADS; k++) m.threads[i].v.known[k] = i == k;
    }
    m.of.setup(world);
    for (int i = 1; i < THREADS; i++) {
        learn(&m.threads[i].v, &m.threads[MAIN].v);
        m.threads[i].done = 1;
    }
}

static void actor(void *world, int i) {
    m.runs = true;
    m.of.actor(world, i);
}

static void check(void *world) {
    m.runs = false;
    for (int i = 1; i < THREADS; i++) learn(&m.threads[MAIN].v, &m.threads[i].v);
    for (int i = 0; i < m.n_words; i++)
        m.threads[MAIN].v.from[i] = m.words[i].order[m.words[i].n - 1];
    m.of.check(world);
}

static uint64_t execution(void *world) {
    uint64_t h = 1;
    (void)world;
    for (int i = 1; i < THREADS; i++) h = mix(h, m.threads[i].done);
    for (int i = 0; i < m.n_words; i++) {
        const word *w = &m.words[i];
        uint64_t of_word = mix(2, w->at);
        for (int k = 0; k < w->n; k++) of_word = mix(of_word, w->messages[w->order[k]].name);
        h += of_word; /* words come in any order */
    }
    return h;
}

uint64_t weak_run(df_schedules what, df_schedules_report *report) {
    m.of = what;
    m.world = (uintptr_t)what.world;
    m.size = what.world_size;
    m.bytes = calloc(m.size, sizeof *m.bytes);
    if (!m.bytes) return 0;
    what.struct_size = sizeof what;
    what.setup = setup;
    what.actor = actor;
    what.check = check;
    what.state = execution;
    int failed = df_schedules_run(&what, report);
    free(m.bytes);
    m.runs = false;
    return failed ? 0 : report->schedules;
}

int weak_sites(const weak_site **sites) {
    *sites = m.sites;
    return m.n_sites;
}

void weak_spoil(int site, weak_plant how) {
    m.spoilt = site;
    m.how = how;
}
