/* SPDX-License-Identifier: MIT */
#include "support/list_rendezvous.h"

#include <dataflow/schedules.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *const list_flaw_names[LIST_FLAWS] = {
    [LIST_IS_RIGHT] = "is right",
    [LIST_SEND_WAITS_FOR_ROOM] = "a send waits for room",
    [LIST_LOOKS_BEFORE_IT_WAITS] = "a recv looks, and then waits",
    [LIST_LOSES_THE_201ST_WAITER] = "there is room for 200 waiters",
    [LIST_CALLS_DONE_ITSELF] = "done is called besides being finished",
    [LIST_FINISHES_UNDER_ITS_LOCK] = "recvs are finished under its lock",
    [LIST_GIVES_THE_NEWEST_FIRST] = "the newest tensor comes first",
    [LIST_SERVES_THE_LAST_TO_ASK] = "the last to ask is served first",
    [LIST_HAS_ITS_OWN_WORDS] = "an abort has words of its own",
    [LIST_KEEPS_WHAT_IS_THERE] = "an abort keeps what is there",
    [LIST_TAKES_LATE_SENDS] = "a send is taken after the abort",
    [LIST_COMPARES_EDGES] = "only edges are compared",
    [LIST_COMPARES_NO_INCARNATION] = "incarnations are not compared",
    [LIST_COMPARES_NO_FRAME] = "frames are not compared",
    [LIST_CANCELS_ALL_OF_A_KEY] = "a cancel ends all recvs of the key",
    [LIST_FORGETS_AN_EARLY_CANCEL] = "an early cancel is forgotten",
    [LIST_CANCEL_BEATS_A_TENSOR] = "a cancel beats a tensor that is there",
    [LIST_CANCEL_EATS_A_TENSOR] = "a cancelled recv eats its tensor",
    [LIST_LEAVES_WAITERS_AT_THE_END] = "waiters are left at the end",
    [LIST_KEEPS_TENSORS_AT_THE_END] = "tensors are kept at the end",
    [LIST_FORGETS_THE_DEVICE] = "the sender's endpoint is forgotten",
    [LIST_KEEPS_A_BORROWED_ENDPOINT] = "the sender's endpoint is not copied",
    [LIST_DELIVERS_TO_THE_HOST] = "everything is delivered to the host",
    [LIST_DELIVERS_TO_A_DEVICE] = "what is on a device is delivered there",
    [LIST_LOSES_THE_SHAPE] = "the shape is lost",
};

typedef struct item item;
struct item {
    item *next;
    df_key *key;
    df_endpoint from;
    const df_endpoint *borrowed;
    df_tensor *tensor;
};

typedef struct list {
    list_flaw flaw;
    pthread_mutex_t lock;
    pthread_cond_t fewer; /* there are fewer items, or it is closed */
    bool is_closed;
    df_error why;
    unsigned n_sent, n_missed;
    item *items;
    size_t n_items;
    df_recv *waiters;
    size_t n_waiters;
} list;

/* ---- a recv's words ---- */

enum { NEXT = 8, STATE = 9 };
enum { LINKED = 1, CANCELLED = 2 };

static df_recv *next_of(const df_recv *r) {
    return r->reserved[NEXT];
}

static bool is_in(const df_recv *r, uintptr_t state) {
    return ((uintptr_t)r->reserved[STATE] & state) != 0;
}

static void set_state(df_recv *r, uintptr_t state) {
    r->reserved[STATE] = (void *)state;
}

/* ---- what is let go at the end of a test ---- */

static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t is_let_go = PTHREAD_COND_INITIALIZER;
static unsigned n_let_go; /* how often */
static item *kept;

static void wait_until_let_go(void) {
    (void)pthread_mutex_lock(&kept_lock);
    unsigned now = n_let_go;
    while (n_let_go == now) (void)pthread_cond_wait(&is_let_go, &kept_lock);
    (void)pthread_mutex_unlock(&kept_lock);
}

static void drop_all(item *items) {
    for (item *next; items; items = next) {
        next = items->next;
        df_tensor_unref(items->tensor);
        df_key_free(items->key);
        free(items);
    }
}

static void keep_all(item *items) {
    (void)pthread_mutex_lock(&kept_lock);
    item **end = &kept;
    while (*end) end = &(*end)->next;
    *end = items;
    (void)pthread_mutex_unlock(&kept_lock);
}

void list_rendezvous_let_go(void) {
    (void)pthread_mutex_lock(&kept_lock);
    item *items = kept;
    kept = NULL;
    n_let_go++;
    (void)pthread_cond_broadcast(&is_let_go);
    (void)pthread_mutex_unlock(&kept_lock);
    drop_all(items);
}

/* ---- keys ---- */

static df_key *copy_of(const df_key *key) {
    size_t size = df_key_text(key, NULL, 0) + 1;
    char *text = malloc(size);
    df_key *copy = NULL;
    if (!text) return NULL;
    (void)df_key_text(key, text, size);
    (void)df_key_parse(NULL, text, &copy, NULL);
    free(text);
    return copy;
}

static bool is_same(const list *l, const df_key *a, const df_key *b) {
    bool same_edge = strcmp(df_key_edge(a), df_key_edge(b)) == 0;
    bool same_devices = strcmp(df_key_src_device(a), df_key_src_device(b)) == 0 &&
                        strcmp(df_key_dst_device(a), df_key_dst_device(b)) == 0;
    bool same_incarnation = df_key_src_incarnation(a) == df_key_src_incarnation(b);
    char x[512], y[512];
    switch (l->flaw) {
    case LIST_COMPARES_EDGES:
        return same_edge;
    case LIST_COMPARES_NO_FRAME:
        return same_edge && same_devices && same_incarnation;
    case LIST_COMPARES_NO_INCARNATION:
        (void)df_key_text(a, x, sizeof x);
        (void)df_key_text(b, y, sizeof y);
        return same_edge && same_devices && strcmp(strrchr(x, ';'), strrchr(y, ';')) == 0;
    default:
        return df_key_equal(a, b);
    }
}

/* ---- the lists ---- */

static void push_item(list *l, item *i) {
    item **end = &l->items;
    while (*end && l->flaw != LIST_GIVES_THE_NEWEST_FIRST) end = &(*end)->next;
    i->next = *end;
    *end = i;
    l->n_items++;
}

static item *take_item(list *l, const df_key *key) {
    for (item **at = &l->items; *at; at = &(*at)->next) {
        item *i = *at;
        if (!is_same(l, i->key, key)) continue;
        *at = i->next;
        l->n_items--;
        (void)pthread_cond_broadcast(&l->fewer);
        return i;
    }
    return NULL;
}

static void push_waiter(list *l, df_recv *r) {
    if (l->flaw == LIST_LOSES_THE_201ST_WAITER && l->n_waiters == 200) return;
    df_recv *last = l->waiters;
    bool is_first = !last || l->flaw == LIST_SERVES_THE_LAST_TO_ASK;
    while (!is_first && next_of(last)) last = next_of(last);
    r->reserved[NEXT] = is_first ? l->waiters : NULL;
    if (is_first)
        l->waiters = r;
    else
        last->reserved[NEXT] = r;
    set_state(r, LINKED);
    l->n_waiters++;
}

/* This one, or else the first of the key. */
static df_recv *take_waiter(list *l, const df_recv *this, const df_key *key) {
    df_recv *before = NULL;
    for (df_recv *r = l->waiters; r; before = r, r = next_of(r)) {
        if (this ? r != this : !is_same(l, r->key, key)) continue;
        if (before)
            before->reserved[NEXT] = next_of(r);
        else
            l->waiters = next_of(r);
        set_state(r, 0);
        l->n_waiters--;
        return r;
    }
    return NULL;
}

/* ---- ends ---- */

static df_tensor *flat(df_tensor *t) {
    const int64_t dims[] = {df_tensor_elements(t)};
    df_tensor *copy = NULL;
    if (!df_tensor_is_host(t)) return t;
    (void)df_tensor_from(NULL, df_tensor_dtype(t), (df_shape){1, dims}, df_tensor_data(t), &copy,
                         NULL);
    df_tensor_unref(t);
    return copy;
}

static void give(const list *l, df_recv *r, const df_endpoint *from, df_tensor *t) {
    static const df_endpoint at_host = {.memory = DF_MEMORY_HOST};
    if (l->flaw == LIST_LOSES_THE_SHAPE) t = flat(t);
    if (l->flaw == LIST_DELIVERS_TO_THE_HOST) r->to = at_host;
    if (l->flaw == LIST_DELIVERS_TO_A_DEVICE && !df_tensor_is_host(t) && !r->to.queue)
        r->to = *from;
    df_recv_finish(r, NULL, l->flaw == LIST_FORGETS_THE_DEVICE ? NULL : from, t);
}

static void give_item(const list *l, df_recv *r, item *i) {
    const df_endpoint *from = l->flaw == LIST_KEEPS_A_BORROWED_ENDPOINT ? i->borrowed : &i->from;
    give(l, r, from, i->tensor);
    df_key_free(i->key);
    free(i);
}

static void cancelled(const list *l, df_recv *r) {
    df_error err;
    (void)df_error_set(&err, DF_CANCELLED, "the recv of %s was cancelled", df_key_edge(r->key));
    df_recv_finish(r, &err, NULL, NULL);
    if (l->flaw == LIST_CALLS_DONE_ITSELF) r->done(r, &err, NULL);
}

/* Before a finish, and after it: with a flaw, too late. */
static void lock(list *l) {
    df_schedules_point();
    while (pthread_mutex_trylock(&l->lock) != 0) df_schedules_blocked();
}

static void unlock(list *l) {
    if (l->flaw != LIST_FINISHES_UNDER_ITS_LOCK) (void)pthread_mutex_unlock(&l->lock);
}

static void unlock_late(list *l) {
    if (l->flaw == LIST_FINISHES_UNDER_ITS_LOCK) (void)pthread_mutex_unlock(&l->lock);
}

static void pause_for(long ns) {
    (void)nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* ---- the calls ---- */

static void wait_for_room(list *l) {
    while (l->n_items >= 600 && !l->is_closed) (void)pthread_cond_wait(&l->fewer, &l->lock);
}

/* Until sends fall between, if any come soon, and are through: of two that come and two that ask
 * the second would make good what the first has missed. Now and then for as long as it takes. */
static void look_away(list *l) {
    unsigned n_seen = l->n_sent;
    int naps = l->n_missed++ % 4 ? 1 : 100;
    for (int i = 0; naps > 0 && i < 200; i++) {
        (void)pthread_mutex_unlock(&l->lock);
        pause_for(50000);
        lock(l);
        naps = l->n_sent != n_seen ? 1 : naps - 1;
        n_seen = l->n_sent;
    }
}

static df_code list_send(void *self, const df_key *key, const df_endpoint *from, df_tensor *t) {
    list *l = self;
    if (l->flaw == LIST_SEND_NEVER_RETURNS) wait_until_let_go();
    item *i = malloc(sizeof *i);
    df_key *copy = copy_of(key);
    if (!i || !copy) goto fail;
    *i = (item){.key = copy, .from = *from, .borrowed = from, .tensor = t};
    if (l->flaw == LIST_TAKES_HOST_TENSORS_ONLY && !df_tensor_is_host(t)) goto fail;
    lock(l);
    if (l->n_sent++ % 4 == 0 && l->flaw == LIST_TAKES_LATE_SENDS) {
        (void)pthread_mutex_unlock(&l->lock);
        pause_for(200000);
        lock(l);
    }
    if (l->flaw == LIST_SEND_WAITS_FOR_ROOM) wait_for_room(l);
    bool is_taken = !l->is_closed || l->flaw == LIST_TAKES_LATE_SENDS;
    df_recv *r = is_taken ? take_waiter(l, NULL, key) : NULL;
    if (is_taken && !r) push_item(l, i);
    df_code code = is_taken ? DF_OK : l->why.code;
    unlock(l);
    if (r) {
        give_item(l, r, i);
    } else if (!is_taken) {
        i->next = NULL;
        drop_all(i);
    }
    unlock_late(l);
    return code;

fail:
    df_tensor_unref(t);
    df_key_free(copy);
    free(i);
    return i && copy ? DF_UNIMPLEMENTED : DF_RESOURCE_EXHAUSTED;
}

static void list_recv(void *self, df_recv *r) {
    list *l = self;
    lock(l);
    bool is_open = !l->is_closed;
    bool is_cancelled = is_in(r, CANCELLED) && l->flaw != LIST_FORGETS_AN_EARLY_CANCEL;
    bool may_take = is_open && !(is_cancelled && l->flaw == LIST_CANCEL_BEATS_A_TENSOR);
    item *i = may_take ? take_item(l, r->key) : NULL;
    if (l->flaw == LIST_LOOKS_BEFORE_IT_WAITS && !i) {
        look_away(l);
        is_open = !l->is_closed;
        is_cancelled = is_in(r, CANCELLED);
    }
    if (is_open && !i && !is_cancelled) push_waiter(l, r);
    df_error why = l->why;
    unlock(l);
    if (i && is_cancelled && l->flaw == LIST_CANCEL_EATS_A_TENSOR) {
        i->next = NULL;
        drop_all(i);
        cancelled(l, r);
    } else if (i) {
        give_item(l, r, i);
    } else if (!is_open) {
        df_recv_finish(r, &why, NULL, NULL);
    } else if (is_cancelled) {
        cancelled(l, r);
    }
    unlock_late(l);
}

static void list_cancel(void *self, df_recv *r) {
    list *l = self;
    df_recv *ended = NULL;
    lock(l);
    if (!is_in(r, LINKED)) set_state(r, CANCELLED);
    if (is_in(r, LINKED)) {
        ended = take_waiter(l, r, NULL);
        ended->reserved[NEXT] = NULL;
    }
    if (l->flaw == LIST_CANCELS_ALL_OF_A_KEY)
        for (df_recv *other; ended && (other = take_waiter(l, NULL, r->key)) != NULL;) {
            other->reserved[NEXT] = ended;
            ended = other;
        }
    unlock(l);
    for (df_recv *next; ended; ended = next) {
        next = next_of(ended);
        cancelled(l, ended);
    }
    unlock_late(l);
}

static void list_abort(void *self, const df_error *why) {
    static const df_error own = {.code = DF_ABORTED, .message = "something went wrong"};
    list *l = self;
    bool is_end = why->code == DF_CANCELLED;
    lock(l);
    l->is_closed = true;
    l->why = l->flaw == LIST_HAS_ITS_OWN_WORDS && !is_end ? own : *why;
    df_recv *waiters = l->waiters;
    item *items = l->flaw == LIST_KEEPS_WHAT_IS_THERE ? NULL : l->items;
    if (items) l->items = NULL;
    l->waiters = NULL;
    for (df_recv *r = waiters; r; r = next_of(r)) set_state(r, 0);
    (void)pthread_cond_broadcast(&l->fewer);
    unlock(l);
    if (l->flaw == LIST_KEEPS_TENSORS_AT_THE_END && is_end)
        keep_all(items);
    else
        drop_all(items);
    if (l->flaw == LIST_LEAVES_WAITERS_AT_THE_END && is_end) return;
    for (df_recv *next; waiters; waiters = next) {
        next = next_of(waiters);
        df_recv_finish(waiters, &l->why, NULL, NULL);
    }
    unlock_late(l);
}

static void list_destroy(void *self) {
    list *l = self;
    drop_all(l->items);
    (void)pthread_cond_destroy(&l->fewer);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
}

static const df_rendezvous_ops list_ops = {.struct_size = sizeof(df_rendezvous_ops),
                                           .name = "list",
                                           .flags = DF_RENDEZVOUS_CLOSED,
                                           .send = list_send,
                                           .recv = list_recv,
                                           .cancel = list_cancel,
                                           .abort = list_abort,
                                           .destroy = list_destroy};

df_rendezvous *list_rendezvous_new(list_flaw flaw) {
    df_rendezvous *r = NULL;
    list *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->flaw = flaw;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_cond_init(&l->fewer, NULL);
    if (df_rendezvous_new(NULL, &list_ops, l, &r, NULL) != DF_OK) list_destroy(l);
    return r;
}
