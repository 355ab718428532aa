/* SPDX-License-Identifier: MIT
 *
 * One lock and one condition for everything: it is a model, and must be right, not fast.
 *
 * 1. A call begins with enter, which takes the lock, and ends with leave. In a child of fork enter
 *    takes nothing, since nobody might let it go.
 * 2. A stream's thread plays its pieces of work in order. It lets the lock go while bytes are
 *    copied and while a kernel runs. Memory is given back only when all streams of its context have
 *    nothing to do, as the true driver does.
 * 3. A context that has an error plays nothing any more; its events are never reached.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "modules/fake_cuda.h"

#include "device/cuda/driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DEVICES = 4, KERNELS = 1024, PAGE = 4096 };
enum { INVALID_VALUE = 1, INVALID_DEVICE = 101, INVALID_PTX = 218 };
enum { INVALID_HANDLE = 400, OUT_OF_RESOURCES = 701, NOT_REGISTERED = 713 };

/* The library's own table says how each call is called. */
#define DECLARE(name, symbol, needed, arguments) cu_result symbol arguments;
CUDA_DRIVER(DECLARE)
#undef DECLARE

fake_cuda_world fake_cuda;

typedef struct block {
    struct block *next; /* by offset */
    size_t offset, bytes;
} block;

typedef struct host_range {
    struct host_range *next;
    char *at;
    size_t bytes;
    bool is_registered;
} host_range;

typedef struct work work;

/* All below is under the lock. */
struct CUctx_st {
    int holders;
    cu_result error; /* for good */
    char *guard, *view;
    size_t span, limit, used;
    block *blocks;
    cu_stream streams; /* those destroyed included, until the context goes */
    int busy;          /* pieces of work that are queued or played */
    unsigned peers;    /* bit n: device n's memory may be reached */
};

struct CUstream_st {
    cu_context context;
    cu_stream next;
    pthread_t thread;
    work *first, *last;
    bool is_closing;
};

struct CUevent_st {
    cu_context context;
    uint64_t recorded, reached;
    uint64_t moment; /* when it was reached last, of those that `moments` counts */
    bool is_timed;
    int holders; /* the handle, and each piece of work */
};

struct CUmod_st {
    cu_context context;
};

struct CUfunc_st {
    const char *name;
    fake_cuda_kernel *run;
    const size_t *sizes;
    size_t n;
};

struct work {
    work *next;
    /* With the lock held, which it may let go. */
    cu_result (*play)(cu_context context, work *w);
    cu_event event; /* record, wait */
    uint64_t turn;
    cu_address to, from; /* copies; an address of the host's is one of no context */
    cu_context to_context, from_context;
    size_t bytes;
    cu_function function; /* launches */
    fake_cuda_grid grid;
    void **params;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static atomic_int process; /* who has called cuInit */
static struct CUctx_st contexts[DEVICES];
static struct CUfunc_st functions[KERNELS];
static size_t n_functions;
static host_range *ranges;
static const char *fault_symbol;
static int fault_countdown;
static cu_result fault_result;

static _Thread_local cu_context current;
static _Thread_local int capture_mode;
static _Thread_local cu_context playing;

/* ---- entering and leaving ------------------------------------------------ */

/* GIVES: takes something back, and even a context with an error does that. */
typedef enum needs { NOTHING, INIT, GIVES, CONTEXT } needs;

/* The driver's rule, for those in the mode in which every thread starts. */
static bool spoils_captures(const char *symbol) {
    static const char *const names[] = {"cuEventQuery", "cuEventSynchronize", "cuMemAlloc_v2",
                                        "cuMemFree_v2", "cuMemHostAlloc",     "cuMemFreeHost"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], symbol) == 0) return true;
    return false;
}

static bool fails_now(const char *symbol) {
    if (!fault_countdown || (fault_symbol && strcmp(fault_symbol, symbol) != 0)) return false;
    return --fault_countdown == 0;
}

static cu_result check(const char *symbol, needs what) {
    atomic_fetch_add(&fake_cuda.calls, 1);
    if (fails_now(symbol)) return fault_result;
    if (what == NOTHING) return CU_SUCCESS;
    if (!process) return CU_NOT_INITIALIZED;
    if (what == INIT) return CU_SUCCESS;
    if (!current) return CU_INVALID_CONTEXT;
    if (!current->holders) return CU_CONTEXT_IS_DESTROYED;
    if (fake_cuda.capturing && capture_mode != CU_CAPTURE_MODE_RELAXED && spoils_captures(symbol))
        atomic_fetch_add(&fake_cuda.spoilt, 1);
    return what == GIVES ? CU_SUCCESS : current->error;
}

static cu_result leave(cu_result r) {
    pthread_mutex_unlock(&lock);
    return r;
}

static cu_result enter(const char *symbol, needs what) {
    if (process && process != getpid()) {
        atomic_fetch_add(&fake_cuda.orphans, 1);
        return CU_NOT_INITIALIZED;
    }
    pthread_mutex_lock(&lock);
    cu_result r = check(symbol, what);
    return r == CU_SUCCESS ? r : leave(r);
}

#define ENTER(what)                                                                                \
    do {                                                                                           \
        cu_result entered_ = enter(__func__, (what));                                              \
        if (entered_ != CU_SUCCESS) return entered_;                                               \
    } while (0)

static void wait_for_a_move(void) {
    pthread_cond_wait(&moved, &lock);
}

static void something_moved(void) {
    pthread_cond_broadcast(&moved);
}

static void *get(size_t bytes) {
    void *at = calloc(1, bytes);
    if (!at) abort();
    return at;
}

/* ---- for tests ----------------------------------------------------------- */

void fake_cuda_register(const char *name, fake_cuda_kernel *run, const size_t *sizes, size_t n) {
    size_t i = 0;
    pthread_mutex_lock(&lock);
    while (i < n_functions && strcmp(functions[i].name, name) != 0) i++;
    if (i == KERNELS) abort();
    if (i == n_functions) n_functions++;
    functions[i] = (struct CUfunc_st){name, run, sizes, n};
    pthread_mutex_unlock(&lock);
}

void fake_cuda_fail(const char *symbol, int k, int result) {
    pthread_mutex_lock(&lock);
    fault_symbol = symbol;
    fault_countdown = k;
    fault_result = result;
    pthread_mutex_unlock(&lock);
}

const char *fake_cuda_reset(void) {
    static char words[200];
    const fake_cuda_world was = fake_cuda;
    bool held = was.contexts || was.streams || was.events || was.blocks || was.pinned ||
                was.registered || was.modules;
    (void)snprintf(words, sizeof words,
                   "held: %d contexts, %d streams, %d events, %d blocks, %d pinned, %d registered, "
                   "%d modules",
                   was.contexts, was.streams, was.events, was.blocks, was.pinned, was.registered,
                   was.modules);
    fake_cuda_fail(NULL, 0, 0);
    pthread_mutex_lock(&lock);
    memset(&fake_cuda, 0, sizeof fake_cuda);
    n_functions = 0;
    pthread_mutex_unlock(&lock);
    return held ? words : NULL;
}

/* ---- memory -------------------------------------------------------------- */

/* NULL: not inside one block. */
static char *view_of(cu_context c, cu_address at, size_t bytes) {
    size_t offset = at - (cu_address)c->guard;
    if (offset >= c->span) return NULL;
    for (const block *b = c->blocks; b; b = b->next)
        if (offset >= b->offset && bytes <= b->bytes && offset - b->offset <= b->bytes - bytes)
            return c->view + offset;
    return NULL;
}

void *fake_cuda_at(uint64_t address, size_t bytes) {
    pthread_mutex_lock(&lock);
    void *at = view_of(playing, (cu_address)address, bytes);
    if (!at && !playing->error) playing->error = CU_ILLEGAL_ADDRESS;
    pthread_mutex_unlock(&lock);
    return at;
}

static char *map(int file, size_t span, int access) {
    void *at = mmap(NULL, span, access, MAP_SHARED | MAP_NORESERVE, file, 0);
    if (at == MAP_FAILED) abort();
    return at;
}

static void memory_open(cu_context c) {
    int file = memfd_create("fake-cuda", MFD_CLOEXEC);
    c->limit = fake_cuda.memory ? fake_cuda.memory : (size_t)64 << 20;
    c->span = 4 * c->limit + ((size_t)16 << 20);
    c->span -= c->span % PAGE;
    if (file < 0 || ftruncate(file, (off_t)c->span) != 0) abort();
    c->guard = map(file, c->span, PROT_NONE);
    c->view = map(file, c->span, PROT_READ | PROT_WRITE);
    (void)close(file);
}

static size_t pages(size_t bytes) {
    return (bytes + PAGE - 1) / PAGE * PAGE;
}

cu_result cuMemAlloc_v2(cu_address *address, size_t bytes) {
    size_t offset = 0;
    ENTER(CONTEXT);
    if (!bytes) return leave(INVALID_VALUE);
    block **at = &current->blocks;
    while (*at && (*at)->offset < offset + pages(bytes) + PAGE) {
        offset = (*at)->offset + pages((*at)->bytes) + PAGE;
        at = &(*at)->next;
    }
    if (bytes > current->limit - current->used || offset + pages(bytes) > current->span)
        return leave(CU_OUT_OF_MEMORY);
    block *b = get(sizeof *b);
    *b = (block){*at, offset, bytes};
    *at = b;
    current->used += bytes;
    memset(current->view + offset, 0xcd, bytes);
    atomic_fetch_add(&fake_cuda.blocks, 1);
    *address = (cu_address)current->guard + offset;
    return leave(CU_SUCCESS);
}

static void block_free(cu_context c, block **at) {
    block *b = *at;
    *at = b->next;
    c->used -= b->bytes;
    memset(c->view + b->offset, 0xdd, b->bytes);
    free(b);
    atomic_fetch_sub(&fake_cuda.blocks, 1);
}

cu_result cuMemFree_v2(cu_address address) {
    ENTER(CONTEXT);
    while (current->busy && !current->error) wait_for_a_move();
    block **at = &current->blocks;
    while (*at && (cu_address)current->guard + (*at)->offset != address) at = &(*at)->next;
    if (!*at) return leave(INVALID_VALUE);
    block_free(current, at);
    return leave(CU_SUCCESS);
}

cu_result cuMemGetInfo_v2(size_t *free, size_t *total) {
    ENTER(CONTEXT);
    *free = current->limit - current->used;
    *total = current->limit;
    return leave(CU_SUCCESS);
}

static host_range **range_of(const void *at, size_t bytes) {
    host_range **r = &ranges;
    while (*r &&
           ((const char *)at + bytes <= (*r)->at || (const char *)at >= (*r)->at + (*r)->bytes))
        r = &(*r)->next;
    return r;
}

static void range_add(void *at, size_t bytes, bool is_registered) {
    host_range *r = get(sizeof *r);
    *r = (host_range){ranges, at, bytes, is_registered};
    ranges = r;
    atomic_fetch_add(is_registered ? &fake_cuda.registered : &fake_cuda.pinned, 1);
}

static bool range_remove(const void *at, bool is_registered) {
    host_range **r = range_of(at, 1), *gone = *r;
    if (!gone || gone->at != at || gone->is_registered != is_registered) return false;
    *r = gone->next;
    free(gone);
    atomic_fetch_sub(is_registered ? &fake_cuda.registered : &fake_cuda.pinned, 1);
    return true;
}

cu_result cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
    ENTER(CONTEXT);
    if (flags != CU_HOST_PORTABLE || !bytes) return leave(INVALID_VALUE);
    *out = aligned_alloc(PAGE, pages(bytes));
    if (!*out) abort();
    memset(*out, 0xcd, bytes);
    range_add(*out, bytes, false);
    return leave(CU_SUCCESS);
}

cu_result cuMemFreeHost(void *at) {
    ENTER(GIVES);
    while (current->busy && !current->error) wait_for_a_move();
    if (!range_remove(at, false)) return leave(INVALID_VALUE);
    free(at);
    return leave(CU_SUCCESS);
}

cu_result cuMemHostRegister_v2(void *at, size_t bytes, unsigned flags) {
    ENTER(CONTEXT);
    if (flags != CU_HOST_PORTABLE || !bytes) return leave(INVALID_VALUE);
    if (*range_of(at, bytes)) return leave(CU_HOST_MEMORY_ALREADY_REGISTERED);
    range_add(at, bytes, true);
    return leave(CU_SUCCESS);
}

cu_result cuMemHostUnregister(void *at) {
    ENTER(GIVES);
    return leave(range_remove(at, true) ? CU_SUCCESS : NOT_REGISTERED);
}

/* ---- playing ------------------------------------------------------------- */

static void event_drop(cu_event e) {
    if (--e->holders == 0) free(e);
}

static void work_free(work *w) {
    if (w->event) event_drop(w->event);
    if (w->params)
        for (size_t i = 0; i < w->function->n; i++) free(w->params[i]);
    free(w->params);
    free(w);
}

/* Nothing of a context that has an error, or loses itself by this piece. */
static void play(cu_context c, work *w) {
    atomic_fetch_add(&fake_cuda.work, 1);
    if (!c->error && fake_cuda.lose_after && atomic_fetch_sub(&fake_cuda.lose_after, 1) == 1)
        c->error = CU_LAUNCH_FAILED;
    cu_result r = c->error ? CU_SUCCESS : w->play(c, w);
    if (r != CU_SUCCESS && !c->error) c->error = r;
}

static void *stream_main(void *arg) {
    cu_stream s = arg;
    playing = s->context;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (!s->first && !s->is_closing) wait_for_a_move();
        work *w = s->first;
        if (!w) break;
        s->first = w->next;
        play(s->context, w);
        work_free(w);
        s->context->busy--;
        something_moved();
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

static cu_result put(cu_stream s, work w) {
    work *new = get(sizeof *new);
    *new = w;
    if (s->first)
        s->last->next = new;
    else
        s->first = new;
    s->last = new;
    s->context->busy++;
    something_moved();
    return leave(CU_SUCCESS);
}

cu_result cuStreamCreate(cu_stream *out, unsigned flags) {
    ENTER(CONTEXT);
    if (flags != CU_STREAM_NON_BLOCKING) return leave(INVALID_VALUE);
    cu_stream s = get(sizeof *s);
    s->context = current;
    s->next = current->streams;
    current->streams = s;
    if (pthread_create(&s->thread, NULL, stream_main, s) != 0) abort();
    atomic_fetch_add(&fake_cuda.streams, 1);
    *out = s;
    return leave(CU_SUCCESS);
}

/* What is queued still runs. */
static void stream_close(cu_stream s) {
    if (!s->is_closing) atomic_fetch_sub(&fake_cuda.streams, 1);
    s->is_closing = true;
    something_moved();
}

cu_result cuStreamDestroy_v2(cu_stream s) {
    ENTER(GIVES);
    stream_close(s);
    return leave(CU_SUCCESS);
}

/* ---- copies -------------------------------------------------------------- */

static char *end_of_copy(cu_context c, cu_address at, size_t bytes) {
    return c ? view_of(c, at, bytes) : (char *)at;
}

static cu_result play_copy(cu_context c, work *w) {
    (void)c;
    char *to = end_of_copy(w->to_context, w->to, w->bytes);
    const char *from = end_of_copy(w->from_context, w->from, w->bytes);
    if (!to || !from) return CU_ILLEGAL_ADDRESS;
    pthread_mutex_unlock(&lock);
    memmove(to, from, w->bytes);
    pthread_mutex_lock(&lock);
    return CU_SUCCESS;
}

static cu_result put_copy(cu_stream s, work w, const void *host) {
    if (!s || s->context != current) return leave(INVALID_HANDLE);
    if (host && !*range_of(host, w.bytes)) atomic_fetch_add(&fake_cuda.pageable, 1);
    w.play = play_copy;
    return put(s, w);
}

cu_result cuMemcpyHtoDAsync_v2(cu_address to, const void *from, size_t bytes, cu_stream s) {
    ENTER(CONTEXT);
    return put_copy(
        s, (work){.to = to, .to_context = current, .from = (cu_address)from, .bytes = bytes}, from);
}

cu_result cuMemcpyDtoHAsync_v2(void *to, cu_address from, size_t bytes, cu_stream s) {
    ENTER(CONTEXT);
    return put_copy(
        s, (work){.to = (cu_address)to, .from = from, .from_context = current, .bytes = bytes}, to);
}

cu_result cuMemcpyDtoDAsync_v2(cu_address to, cu_address from, size_t bytes, cu_stream s) {
    ENTER(CONTEXT);
    return put_copy(
        s,
        (work){
            .to = to, .to_context = current, .from = from, .from_context = current, .bytes = bytes},
        NULL);
}

cu_result cuMemcpyPeerAsync(cu_address to, cu_context there, cu_address from, cu_context here,
                            size_t bytes, cu_stream s) {
    ENTER(CONTEXT);
    return put_copy(
        s,
        (work){.to = to, .to_context = there, .from = from, .from_context = here, .bytes = bytes},
        NULL);
}

/* ---- events -------------------------------------------------------------- */

cu_result cuEventCreate(cu_event *out, unsigned flags) {
    ENTER(CONTEXT);
    if (!(flags & CU_EVENT_BLOCKING_SYNC)) return leave(INVALID_VALUE);
    cu_event e = get(sizeof *e);
    *e = (struct CUevent_st){
        .context = current, .holders = 1, .is_timed = !(flags & CU_EVENT_DISABLE_TIMING)};
    atomic_fetch_add(&fake_cuda.events, 1);
    *out = e;
    return leave(CU_SUCCESS);
}

cu_result cuEventDestroy_v2(cu_event e) {
    ENTER(GIVES);
    event_drop(e);
    atomic_fetch_sub(&fake_cuda.events, 1);
    return leave(CU_SUCCESS);
}

static uint64_t moments; /* events that were reached, ever; under the lock */

static cu_result play_record(cu_context c, work *w) {
    (void)c;
    if (w->event->reached < w->turn) w->event->reached = w->turn;
    w->event->moment = ++moments;
    something_moved();
    return CU_SUCCESS;
}

static cu_result play_wait(cu_context c, work *w) {
    while (!c->error && !w->event->context->error && w->event->reached < w->turn) wait_for_a_move();
    return CU_SUCCESS;
}

cu_result cuEventRecord(cu_event e, cu_stream s) {
    ENTER(CONTEXT);
    if (!s || s->context != e->context || e->context != current) return leave(INVALID_HANDLE);
    e->holders++;
    return put(s, (work){.play = play_record, .event = e, .turn = ++e->recorded});
}

cu_result cuStreamWaitEvent(cu_stream s, cu_event e, unsigned flags) {
    ENTER(CONTEXT);
    if (!s || s->context != current || flags) return leave(INVALID_HANDLE);
    e->holders++;
    return put(s, (work){.play = play_wait, .event = e, .turn = e->recorded});
}

cu_result cuEventQuery(cu_event e) {
    ENTER(CONTEXT);
    if (e->context->error) return leave(e->context->error);
    return leave(e->reached < e->recorded ? CU_NOT_READY : CU_SUCCESS);
}

/* Its clock goes on by a microsecond with each event that is reached. */
cu_result cuEventElapsedTime(float *ms, cu_event from, cu_event to) {
    ENTER(CONTEXT);
    if (from->context != to->context || !from->is_timed || !to->is_timed || !from->recorded ||
        !to->recorded)
        return leave(INVALID_HANDLE);
    if (from->reached < from->recorded || to->reached < to->recorded) return leave(CU_NOT_READY);
    *ms = (float)((int64_t)to->moment - (int64_t)from->moment) / 1000;
    return leave(from->context->error);
}

cu_result cuEventSynchronize(cu_event e) {
    ENTER(CONTEXT);
    atomic_fetch_add(&fake_cuda.naps, 1);
    atomic_fetch_add(&fake_cuda.sleepers, 1);
    while (!e->context->error && e->reached < e->recorded) wait_for_a_move();
    atomic_fetch_sub(&fake_cuda.sleepers, 1);
    return leave(e->context->error);
}

/* ---- kernels ------------------------------------------------------------- */

cu_result cuModuleLoadDataEx(cu_module *out, const void *image, unsigned n, int *options,
                             void **values) {
    static const char words[] = "line 2; fatal: unknown target";
    ENTER(CONTEXT);
    if (strncmp(image, ".version ", 9) != 0 || fake_cuda.refuses_text) {
        if (n > 0 && options[0] == CU_JIT_ERROR_LOG) memcpy(values[0], words, sizeof words);
        return leave(INVALID_PTX);
    }
    *out = get(sizeof **out);
    (*out)->context = current;
    atomic_fetch_add(&fake_cuda.modules, 1);
    return leave(CU_SUCCESS);
}

cu_result cuModuleUnload(cu_module m) {
    ENTER(GIVES);
    while (current->busy && !current->error) wait_for_a_move();
    free(m);
    atomic_fetch_sub(&fake_cuda.modules, 1);
    return leave(CU_SUCCESS);
}

cu_result cuModuleGetFunction(cu_function *out, cu_module m, const char *name) {
    size_t i = 0;
    ENTER(CONTEXT);
    if (m->context != current) return leave(INVALID_HANDLE);
    while (i < n_functions && strcmp(functions[i].name, name) != 0) i++;
    if (i == n_functions) return leave(CU_NOT_FOUND);
    atomic_fetch_add(&fake_cuda.lookups, 1);
    *out = &functions[i];
    return leave(CU_SUCCESS);
}

#ifndef FAKE_CUDA_HALF
static cu_result play_launch(cu_context c, work *w) {
    pthread_mutex_unlock(&lock);
    w->function->run(&w->grid, w->params);
    pthread_mutex_lock(&lock);
    return c->error;
}

static void **params_copy(cu_function f, void **params) {
    void **copy = get((f->n + 1) * sizeof *copy);
    for (size_t i = 0; i < f->n; i++) {
        copy[i] = get(f->sizes[i]);
        memcpy(copy[i], params[i], f->sizes[i]);
    }
    return copy;
}

cu_result cuLaunchKernel(cu_function f, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                         unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                         cu_stream s, void **params, void **extra) {
    ENTER(CONTEXT);
    if (!s || s->context != current) return leave(INVALID_HANDLE);
    if (!grid_x || !grid_y || !grid_z || grid_y > 65535 || grid_z > 65535 || extra)
        return leave(INVALID_VALUE);
    if (!block_x || !block_y || !block_z || block_z > 64 ||
        (uint64_t)block_x * block_y * block_z > 1024 || shared > 48 * 1024)
        return leave(INVALID_VALUE);
    return put(s, (work){.play = play_launch,
                         .function = f,
                         .grid = {{grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared},
                         .params = params_copy(f, params)});
}
#endif

/* ---- contexts ------------------------------------------------------------ */

cu_result cuDevicePrimaryCtxRetain(cu_context *out, cu_device device) {
    ENTER(INIT);
    cu_context c = &contexts[device];
    if (c->holders++ == 0) memory_open(c);
    atomic_fetch_add(&fake_cuda.contexts, 1);
    *out = c;
    return leave(CU_SUCCESS);
}

static void context_end(cu_context c) {
    for (cu_stream s = c->streams, next; s; s = next) {
        next = s->next;
        stream_close(s);
        pthread_mutex_unlock(&lock);
        (void)pthread_join(s->thread, NULL);
        pthread_mutex_lock(&lock);
        free(s);
    }
    while (c->blocks) block_free(c, &c->blocks);
    (void)munmap(c->guard, c->span);
    (void)munmap(c->view, c->span);
    memset(c, 0, sizeof *c);
}

cu_result cuDevicePrimaryCtxRelease_v2(cu_device device) {
    ENTER(INIT);
    if (!contexts[device].holders) return leave(CU_INVALID_CONTEXT);
    if (--contexts[device].holders == 0) context_end(&contexts[device]);
    atomic_fetch_sub(&fake_cuda.contexts, 1);
    return leave(CU_SUCCESS);
}

cu_result cuCtxGetCurrent(cu_context *context) {
    ENTER(INIT);
    *context = current;
    return leave(CU_SUCCESS);
}

cu_result cuCtxSetCurrent(cu_context context) {
    ENTER(INIT);
    current = context;
    return leave(CU_SUCCESS);
}

#ifndef FAKE_CUDA_PLAIN
cu_result cuCtxEnablePeerAccess(cu_context peer, unsigned flags) {
    ENTER(CONTEXT);
    unsigned bit = 1u << (peer - contexts);
    if (flags || peer == current) return leave(INVALID_VALUE);
    if (current->peers & bit) return leave(CU_PEER_ACCESS_ALREADY_ENABLED);
    current->peers |= bit;
    atomic_fetch_add(&fake_cuda.peers, 1);
    return leave(CU_SUCCESS);
}

cu_result cuDeviceCanAccessPeer(int *can, cu_device device, cu_device peer) {
    ENTER(INIT);
    *can = device != peer && !fake_cuda.apart;
    return leave(CU_SUCCESS);
}

cu_result cuThreadExchangeStreamCaptureMode(int *mode) {
    int was = capture_mode;
    ENTER(INIT);
    capture_mode = *mode;
    *mode = was;
    return leave(CU_SUCCESS);
}

cu_result cuDeviceGetUuid_v2(cu_uuid *uuid, cu_device device) {
    ENTER(INIT);
    for (int i = 0; i < 16; i++) uuid->bytes[i] = (unsigned char)(16 * device + i);
    return leave(CU_SUCCESS);
}
#endif

/* ---- devices ------------------------------------------------------------- */

cu_result cuInit(unsigned flags) {
    ENTER(NOTHING);
    if (flags) return leave(INVALID_VALUE);
    if (fake_cuda.devices < 0) return leave(CU_NO_DEVICE);
    process = getpid();
    return leave(CU_SUCCESS);
}

cu_result cuDriverGetVersion(int *version) {
    ENTER(NOTHING);
    *version = fake_cuda.version ? fake_cuda.version : 12040;
    return leave(CU_SUCCESS);
}

cu_result cuDeviceGetCount(int *n) {
    ENTER(INIT);
    *n = fake_cuda.devices ? fake_cuda.devices : 2;
    return leave(CU_SUCCESS);
}

cu_result cuDeviceGet(cu_device *device, int ordinal) {
    ENTER(INIT);
    if (ordinal < 0 || ordinal >= DEVICES) return leave(INVALID_DEVICE);
    *device = ordinal;
    return leave(CU_SUCCESS);
}

cu_result cuDeviceGetName(char *name, int size, cu_device device) {
    ENTER(INIT);
    (void)snprintf(name, (size_t)size, "Fake GPU %d", device);
    return leave(CU_SUCCESS);
}

cu_result cuDeviceGetAttribute(int *value, int which, cu_device device) {
    int capability = fake_cuda.capability ? fake_cuda.capability : 90;
    (void)device;
    ENTER(INIT);
    *value = which == CU_ATTRIBUTE_MAJOR ? capability / 10 : capability % 10;
    return leave(CU_SUCCESS);
}

cu_result cuDeviceTotalMem_v2(size_t *bytes, cu_device device) {
    (void)device;
    ENTER(INIT);
    *bytes = fake_cuda.memory ? fake_cuda.memory : (size_t)64 << 20;
    return leave(CU_SUCCESS);
}

/* ---- words --------------------------------------------------------------- */

static const struct {
    cu_result result;
    const char *name, *text;
} words[] = {
    {CU_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CU_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CU_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CU_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CU_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
};

cu_result cuGetErrorName(cu_result result, const char **name) {
    *name = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].result == result) *name = words[i].name;
    return *name ? CU_SUCCESS : INVALID_VALUE;
}

cu_result cuGetErrorString(cu_result result, const char **text) {
    *text = NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].result == result) *text = words[i].text;
    return *text ? CU_SUCCESS : INVALID_VALUE;
}
