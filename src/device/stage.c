/* SPDX-License-Identifier: MIT
 *
 * The ring is used in order: a piece is taken at its head, and its room is free again when its copy
 * and those of all pieces before it have been done. A piece that does not fit before the ring's end
 * begins at its start, and counts what it left over.
 *
 *     [ .... | oldest | ... | newest | free .... ]
 *              tail                    head
 */
#include "device/stage.h"

#include "base/alloc.h"
#include "base/thread.h"
#include "device/core.h"

#include <string.h>
#include <unistd.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    RING = 32 << 20,
    PIECE = 2 << 20,
    SMALL = 1 << 20,
    MAX_THREADS = 8,
    MAX_PIECES = 32,
    LINE = 64
};

typedef struct piece {
    fence_waiter waiter; /* first */
    stage *stage;
    size_t at, bytes;
    size_t room;  /* that comes back with it */
    fence *fence; /* behind its copy */
    bool is_done;
} piece;

/* (c) constant after new, (l) under lock */
struct stage {
    df_device *device;         /* (c) */
    const df_threads *threads; /* (c) */
    mutex lock;
    condition wake;            /* there is a job, or room, or closing; a thread runs, or does not */
    char *ring;                /* (l) NULL: not made yet */
    size_t head, used;         /* (l) bytes */
    piece pieces[MAX_PIECES];  /* (l) in order, round and round */
    uint32_t oldest, n_pieces; /* (l) */
    stage_job *first, *last;   /* (l) of which bytes are to be given to threads */
    void *running[MAX_THREADS]; /* (l) n_started of them */
    int n_running, n_started;   /* (l) the first: those that are being started, too */
    bool closing;               /* (l) */
};

bool stage_needs(const df_device *d, const df_tensor *t) {
    return d->stage && !pinned_holds(d->host, d, t);
}

/* ---- the ring ------------------------------------------------------------- */

static bool make_ring(stage *s, df_error *err) {
    void *ring = NULL;
    DF_SCHED_POINT();
    if (s->device->ops->host_alloc(s->device->core->impl, RING, &ring, err) != DF_OK) return false;
    mutex_lock(&s->lock);
    bool first = !s->ring;
    if (first) s->ring = ring;
    mutex_unlock(&s->lock);
    if (!first) s->device->ops->host_free(s->device->core->impl, ring, RING);
    return true;
}

static bool has_ring(stage *s, df_error *err) {
    mutex_lock(&s->lock);
    bool has = s->ring != NULL;
    mutex_unlock(&s->lock);
    return has || make_ring(s, err);
}

static void piece_copied(fence_waiter *w, const df_error *why);
static piece *take_locked(stage *s, size_t bytes) DF_REQUIRES(&s->lock);

/* NULL: there is no room now. */
static piece *take_locked(stage *s, size_t bytes) {
    size_t room = (bytes + LINE - 1) / LINE * LINE;
    bool turns = s->head + room > RING;
    size_t left_over = turns ? RING - s->head : 0;
    if (s->n_pieces == MAX_PIECES || s->used + left_over + room > RING) return NULL;
    piece *p = &s->pieces[(s->oldest + s->n_pieces++) % MAX_PIECES];
    *p = (piece){.waiter = {.ready = piece_copied},
                 .stage = s,
                 .at = turns ? 0 : s->head,
                 .bytes = bytes,
                 .room = left_over + room};
    s->head = p->at + room;
    s->used += left_over + room;
    return p;
}

static void piece_done(piece *p) {
    stage *s = p->stage;
    mutex_lock(&s->lock);
    p->is_done = true;
    while (s->n_pieces && s->pieces[s->oldest].is_done) {
        piece *oldest = &s->pieces[s->oldest];
        s->used -= oldest->room;
        s->oldest = (s->oldest + 1) % MAX_PIECES;
        s->n_pieces--;
    }
    condition_broadcast(&s->wake);
    mutex_unlock(&s->lock);
}

static void piece_copied(fence_waiter *w, const df_error *why) {
    piece *p = (piece *)w;
    (void)why; /* its work has been told */
    fence_unref(p->fence);
    piece_done(p);
}

/* Nobody here reads it again: stores that leave the caches alone save memory one read in three.
 * Both the ring and the pieces in it begin with a line. */
static void copy_past_caches(char *to, const char *from, size_t bytes) {
#ifdef __SSE2__
    for (; bytes >= LINE; bytes -= LINE, to += LINE, from += LINE) {
        __m128i x[LINE / sizeof(__m128i)];
        memcpy(x, from, sizeof x);
        for (size_t i = 0; i < sizeof x / sizeof *x; i++)
            _mm_stream_si128((__m128i *)(void *)to + i, x[i]);
    }
    _mm_sfence(); /* before the engine is told */
#endif
    memcpy(to, from, bytes);
}

/* Into the piece, which is as large as what is copied from `offset` on, and to the device. The
 * fence is one of those kept for that: without it the piece is in use no more. */
static df_code put_piece(df_queue *q, df_work *work, piece *p, df_tensor *to, const df_tensor *from,
                         size_t offset, df_error *err) {
    char *at = p->stage->ring + p->at;
    copy_past_caches(at, (const char *)from->data + offset, p->bytes);
    df_code code = queue_copy_piece(q, work, to, offset, at, p->bytes, err);
    if (code == DF_OK) code = queue_record_end(q, work, &p->fence, err);
    if (code != DF_OK) {
        piece_done(p);
        return code;
    }
    work_count(work, WORK_STAGED, p->bytes);
    p->fence->ops->on_ready(p->fence, &p->waiter);
    return DF_OK;
}

bool stage_copy_now(stage *s, df_queue *q, df_work *work, df_tensor *to, const df_tensor *from,
                    df_code *code, df_error *err) {
    if (from->bytes > SMALL || !has_ring(s, NULL)) return false;
    mutex_lock(&s->lock);
    piece *p = s->first ? NULL : take_locked(s, from->bytes);
    mutex_unlock(&s->lock);
    if (!p) return false;
    *code = put_piece(q, work, p, to, from, 0, err);
    return true;
}

/* ---- threads -------------------------------------------------------------- */

/* The next bytes of the first job, and room for them. NULL: no more will come. */
static piece *next_piece(stage *s, stage_job **job, size_t *offset) {
    piece *p = NULL;
    mutex_lock(&s->lock);
    for (;;) {
        stage_job *j = s->first;
        size_t left = j ? j->from->bytes - j->given : 0;
        if (j) p = take_locked(s, left < PIECE ? left : PIECE);
        if (p) {
            *job = j;
            *offset = j->given;
            j->given += p->bytes;
            if (j->given == j->from->bytes) s->first = j->next;
            break;
        }
        if (s->closing && !j) break;
        condition_wait(&s->wake, &s->lock);
    }
    mutex_unlock(&s->lock);
    return p;
}

/* So many bytes of the job are over; the last who says so ends it. */
static void job_went_on(stage *s, stage_job *j, size_t bytes, const df_error *err) {
    mutex_lock(&s->lock);
    if (err && j->err.code == DF_OK) j->err = *err;
    j->copied += bytes;
    bool all = j->copied == j->from->bytes;
    mutex_unlock(&s->lock);
    if (!all) return;
    df_error why = j->err;
    DF_SCHED_POINT();
    j->ended(j, why.code != DF_OK ? &why : NULL);
}

static void stage_main(void *arg) {
    stage *s = arg;
    stage_job *j;
    size_t offset;
    for (piece *p; (p = next_piece(s, &j, &offset)) != NULL;) {
        size_t bytes = p->bytes;
        df_error err = {.code = DF_OK};
        df_code code = put_piece(j->queue, j->work, p, j->to, j->from, offset, &err);
        job_went_on(s, j, bytes, code == DF_OK ? NULL : &err);
    }
}

/* As many as help with so many bytes, and there are processors for. */
static int threads_for(size_t bytes) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    size_t n = processors < 1 ? 1 : (size_t)processors;
    if (n > MAX_THREADS) n = MAX_THREADS;
    return (int)(bytes / PIECE < n ? bytes / PIECE + 1 : n);
}

static bool may_start(stage *s, int wanted) {
    mutex_lock(&s->lock);
    bool may = s->n_running < wanted && !s->closing;
    if (may) s->n_running++;
    mutex_unlock(&s->lock);
    return may;
}

/* As far as there are any to be had. */
static void start_threads(stage *s, int wanted) {
    df_code code = DF_OK;
    while (code == DF_OK && may_start(s, wanted)) {
        void *thread = NULL;
        code = thread_start(s->threads, "df-stage", stage_main, s, &thread, NULL);
        mutex_lock(&s->lock);
        if (code == DF_OK)
            s->running[s->n_started++] = thread;
        else
            s->n_running--;
        condition_broadcast(&s->wake);
        mutex_unlock(&s->lock);
    }
}

static void add_locked(stage *s, stage_job *j) DF_REQUIRES(&s->lock);

static void add_locked(stage *s, stage_job *j) {
    j->next = NULL;
    j->given = j->copied = 0;
    j->err.code = DF_OK;
    if (s->first)
        s->last->next = j;
    else
        s->first = j;
    s->last = j;
    condition_broadcast(&s->wake);
}

/* A thread that somebody else starts may be the only one: whether it runs is waited for. */
df_code stage_copy(stage *s, stage_job *j, df_error *err) {
    if (!has_ring(s, err)) return DF_RESOURCE_EXHAUSTED;
    start_threads(s, threads_for(j->from->bytes));
    mutex_lock(&s->lock);
    while (s->n_running && !s->n_started && !s->closing) condition_wait(&s->wake, &s->lock);
    bool closing = s->closing, taken = s->n_started && !closing;
    if (taken) add_locked(s, j);
    mutex_unlock(&s->lock);
    if (taken) return DF_OK;
    if (closing) return error_set(err, DF_UNAVAILABLE, "device %s is closed", s->device->full_name);
    return error_set(err, DF_RESOURCE_EXHAUSTED, "device %s: there is no thread for a copy",
                     s->device->full_name);
}

/* ---- opening and closing -------------------------------------------------- */

static bool locks_init(stage *s) {
    if (!mutex_init(&s->lock)) return false;
    if (condition_init(&s->wake)) return true;
    mutex_fini(&s->lock);
    return false;
}

stage *stage_new(df_device *d, const df_threads *threads) {
    stage *s = alloc_zeroed(d->alloc, sizeof *s);
    if (!s) return NULL;
    s->device = d;
    s->threads = threads;
    if (locks_init(s)) {
        if (queue_keep_fences(d->queues[DF_QUEUE_IN], MAX_PIECES, NULL) == DF_OK) return s;
        condition_fini(&s->wake);
        mutex_fini(&s->lock);
    }
    alloc_free(d->alloc, s, sizeof *s);
    return NULL;
}

void stage_stop(stage *s) {
    mutex_lock(&s->lock);
    s->closing = true;
    condition_broadcast(&s->wake);
    while (s->n_running) {
        if (!s->n_started) {
            condition_wait(&s->wake, &s->lock);
            continue;
        }
        s->n_running--;
        void *thread = s->running[--s->n_started];
        mutex_unlock(&s->lock);
        thread_join(s->threads, thread);
        mutex_lock(&s->lock);
    }
    mutex_unlock(&s->lock);
}

void stage_free(stage *s) {
    if (!s) return;
    if (s->ring) s->device->ops->host_free(s->device->core->impl, s->ring, RING);
    condition_fini(&s->wake);
    mutex_fini(&s->lock);
    alloc_free(s->device->alloc, s, sizeof *s);
}
