/* SPDX-License-Identifier: MIT
 *
 * One lock and one condition for everything: it is a model, and must be right, not fast.
 *
 * 1. A call begins with enter, which takes the lock, and ends with leave.
 * 2. A queue's thread plays its commands in order, up to the last flush, and lets the lock go while
 *    bytes are copied and while a kernel runs.
 * 3. Objects are counted; a command holds what it uses, as the standard has it.
 */
#include "modules/fake_opencl.h"

#include "device/opencl/driver.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEVICES = 2, KERNELS = 64 };
enum { QUEUED = 3, WRONG_KERNEL_NAME = -46 };

/* The library's own table says how each call is called. */
#define DECLARE(name, symbol, result, arguments) result symbol arguments;
OPENCL_DRIVER(DECLARE)
#undef DECLARE

fake_opencl_world fake_opencl;

/* All below is under the lock. */
struct cl_platform_st {
    int nothing;
};
struct cl_device_st {
    int nothing;
};

struct cl_context_st {
    int holders;
    cl_result error; /* for good */
};

struct cl_event_st {
    int holders;
    int status;
};

struct cl_buffer_st {
    int holders;
    cl_context context;
    char *bytes;
    size_t size;
};

struct cl_program_st {
    int holders;
    bool is_built;
};

typedef struct argument {
    bool is_buffer;
    cl_buffer buffer; /* held */
    size_t size;
    void *value; /* a copy */
} argument;

struct cl_kernel_st {
    int holders;
    fake_opencl_kernel *run;
    argument args[FAKE_OPENCL_ARGS];
};

typedef struct command command;
struct command {
    command *next;
    cl_result (*play)(command *c);
    cl_event event, waits; /* held; waits NULL: for nothing */
    cl_buffer to, from;    /* held; NULL: the host's */
    char *at_to;
    const char *at_from;
    size_t bytes;
    fake_opencl_kernel *run;
    argument args[FAKE_OPENCL_ARGS]; /* held */
    size_t items;
};

struct cl_queue_st {
    cl_context context;
    pthread_t thread;
    command *first, *last;
    int put, flushed, played;
    bool is_closing;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER;
static struct cl_platform_st the_platform;
static struct cl_device_st the_devices[DEVICES];
static struct {
    const char *name;
    fake_opencl_kernel *run;
} registered[KERNELS];
static size_t n_registered;
static atomic_int process;
static const char *fault_symbol;
static int fault_countdown;
static cl_result fault_result;

/* ---- entering and leaving ------------------------------------------------ */

static bool fails_now(const char *symbol) {
    if (!fault_countdown || (fault_symbol && strcmp(fault_symbol, symbol) != 0)) return false;
    if (--fault_countdown) return false;
    atomic_fetch_add(&fake_opencl.broken, 1);
    return true;
}

static cl_result leave(cl_result r) {
    pthread_mutex_unlock(&lock);
    return r;
}

static cl_result enter(const char *symbol) {
    if (!process) process = getpid();
    if (process != getpid()) {
        atomic_fetch_add(&fake_opencl.orphans, 1);
        return CL_DEVICE_NOT_AVAILABLE;
    }
    pthread_mutex_lock(&lock);
    return fails_now(symbol) ? leave(fault_result) : CL_SUCCESS;
}

#define ENTER                                                                                      \
    do {                                                                                           \
        cl_result entered_ = enter(__func__);                                                      \
        if (entered_ != CL_SUCCESS) return entered_;                                               \
    } while (0)

/* Of a call that makes something. */
#define ENTER_OR_NONE(result)                                                                      \
    do {                                                                                           \
        *(result) = enter(__func__);                                                               \
        if (*(result) != CL_SUCCESS) return NULL;                                                  \
    } while (0)

static void *get(size_t bytes) {
    void *at = calloc(1, bytes);
    if (!at) abort();
    return at;
}

static void something_moved(void) {
    pthread_cond_broadcast(&moved);
}

/* ---- for tests ----------------------------------------------------------- */

void fake_opencl_register(const char *name, fake_opencl_kernel *run) {
    pthread_mutex_lock(&lock);
    if (n_registered == KERNELS) abort();
    registered[n_registered].name = name;
    registered[n_registered++].run = run;
    pthread_mutex_unlock(&lock);
}

void fake_opencl_fail(const char *symbol, int k, int result) {
    pthread_mutex_lock(&lock);
    fault_symbol = symbol;
    fault_countdown = k;
    fault_result = result;
    pthread_mutex_unlock(&lock);
}

void fake_opencl_lose(void *context) {
    pthread_mutex_lock(&lock);
    ((cl_context)context)->error = CL_DEVICE_NOT_AVAILABLE;
    pthread_mutex_unlock(&lock);
}

const char *fake_opencl_reset(void) {
    static char words[200];
    const fake_opencl_world was = fake_opencl;
    bool held = was.contexts || was.queues || was.buffers || was.events || was.programs ||
                was.kernels || was.maps;
    (void)snprintf(words, sizeof words,
                   "held: %d contexts, %d queues, %d buffers, %d events, %d programs, %d kernels, "
                   "%d maps",
                   was.contexts, was.queues, was.buffers, was.events, was.programs, was.kernels,
                   was.maps);
    fake_opencl_fail(NULL, 0, 0);
    pthread_mutex_lock(&lock);
    memset(&fake_opencl, 0, sizeof fake_opencl);
    n_registered = 0;
    pthread_mutex_unlock(&lock);
    return held ? words : NULL;
}

/* ---- what there is ------------------------------------------------------- */

static cl_result tell(const void *what, size_t bytes, size_t size, void *value, size_t *needed) {
    if (needed) *needed = bytes;
    if (value && size < bytes) return leave(CL_INVALID_VALUE);
    if (value) memcpy(value, what, bytes);
    return leave(CL_SUCCESS);
}

cl_result clGetPlatformIDs(unsigned room, cl_platform *out, unsigned *n) {
    ENTER;
    *n = fake_opencl.devices == -2 ? 0 : 1;
    if (*n && room) *out = &the_platform;
    return leave(*n ? CL_SUCCESS : CL_PLATFORM_NOT_FOUND);
}

cl_result clGetPlatformInfo(cl_platform platform, unsigned which, size_t size, void *value,
                            size_t *needed) {
    static const char name[] = "a fake";
    (void)platform;
    ENTER;
    if (which != CL_PLATFORM_NAME) return leave(CL_INVALID_VALUE);
    return tell(name, sizeof name, size, value, needed);
}

cl_result clGetDeviceIDs(cl_platform platform, uint64_t types, unsigned room, cl_device *out,
                         unsigned *n) {
    (void)platform;
    ENTER;
    int have = fake_opencl.devices;
    *n = have < 0 ? 0 : have ? (unsigned)have : DEVICES;
    if (!*n || types != CL_ALL_DEVICES) return leave(CL_DEVICE_NOT_FOUND);
    for (unsigned i = 0; i < *n && i < room; i++) out[i] = &the_devices[i];
    return leave(CL_SUCCESS);
}

cl_result clGetDeviceInfo(cl_device device, unsigned which, size_t size, void *value,
                          size_t *needed) {
    static const char name[] = "a host", versions[][11] = {"OpenCL 1.2", "OpenCL 1.1"};
    const uint64_t memory = (uint64_t)256 << 20;
    const uint32_t unified = fake_opencl.unified != 0;
    (void)device;
    ENTER;
    switch (which) {
    case CL_DEVICE_NAME:
        return tell(name, sizeof name, size, value, needed);
    case CL_DEVICE_VERSION:
        return tell(versions[fake_opencl.old != 0], sizeof *versions, size, value, needed);
    case CL_DEVICE_MEMORY:
        return tell(&memory, sizeof memory, size, value, needed);
    case CL_DEVICE_UNIFIED:
        return tell(&unified, sizeof unified, size, value, needed);
    default:
        return leave(CL_INVALID_VALUE);
    }
}

/* ---- objects ------------------------------------------------------------- */

cl_context clCreateContext(const intptr_t *properties, unsigned n, const cl_device *devices,
                           void (*notify)(const char *, const void *, size_t, void *), void *user,
                           cl_result *result) {
    (void)devices;
    (void)notify;
    (void)user;
    ENTER_OR_NONE(result);
    if (n != 1 || properties[0] != CL_CONTEXT_PLATFORM) {
        *result = leave(CL_INVALID_VALUE);
        return NULL;
    }
    cl_context c = get(sizeof *c);
    c->holders = 1;
    atomic_fetch_add(&fake_opencl.contexts, 1);
    *result = leave(CL_SUCCESS);
    return c;
}

static void context_drop(cl_context c) {
    if (--c->holders) return;
    free(c);
    atomic_fetch_sub(&fake_opencl.contexts, 1);
}

cl_result clReleaseContext(cl_context c) {
    ENTER;
    context_drop(c);
    return leave(CL_SUCCESS);
}

cl_buffer clCreateBuffer(cl_context c, uint64_t flags, size_t bytes, void *host,
                         cl_result *result) {
    (void)flags;
    (void)host;
    ENTER_OR_NONE(result);
    if (!bytes || c->error) {
        *result = leave(c->error ? CL_INVALID_CONTEXT : CL_INVALID_BUFFER_SIZE);
        return NULL;
    }
    cl_buffer b = get(sizeof *b);
    *b = (struct cl_buffer_st){.holders = 1, .context = c, .bytes = get(bytes), .size = bytes};
    memset(b->bytes, 0xcd, bytes);
    atomic_fetch_add(&fake_opencl.buffers, 1);
    *result = leave(CL_SUCCESS);
    return b;
}

static void buffer_drop(cl_buffer b) {
    if (!b || --b->holders) return;
    free(b->bytes);
    free(b);
    atomic_fetch_sub(&fake_opencl.buffers, 1);
}

static cl_buffer buffer_hold(cl_buffer b) {
    if (b) b->holders++;
    return b;
}

cl_result clReleaseMemObject(cl_buffer b) {
    ENTER;
    buffer_drop(b);
    return leave(CL_SUCCESS);
}

static void event_drop(cl_event e) {
    if (!e || --e->holders) return;
    free(e);
    atomic_fetch_sub(&fake_opencl.events, 1);
}

cl_result clReleaseEvent(cl_event e) {
    ENTER;
    event_drop(e);
    return leave(CL_SUCCESS);
}

cl_result clGetEventInfo(cl_event e, unsigned which, size_t size, void *value, size_t *needed) {
    ENTER;
    if (which != CL_EVENT_STATUS) return leave(CL_INVALID_VALUE);
    return tell(&e->status, sizeof e->status, size, value, needed);
}

cl_result clWaitForEvents(unsigned n, const cl_event *events) {
    ENTER;
    if (n != 1) return leave(CL_INVALID_VALUE);
    while (events[0]->status > CL_COMPLETE) pthread_cond_wait(&moved, &lock);
    return leave(events[0]->status < 0 ? CL_EXEC_STATUS_ERROR : CL_SUCCESS);
}

/* ---- queues -------------------------------------------------------------- */

static void command_free(command *c) {
    event_drop(c->event);
    event_drop(c->waits);
    buffer_drop(c->to);
    buffer_drop(c->from);
    for (int i = 0; i < FAKE_OPENCL_ARGS; i++) {
        buffer_drop(c->args[i].buffer);
        free(c->args[i].value);
    }
    free(c);
}

/* What it ends with. */
static cl_result play(cl_queue q, command *c) {
    bool fails = fake_opencl.fails_after && atomic_fetch_sub(&fake_opencl.fails_after, 1) == 1;
    while (c->waits && c->waits->status != CL_COMPLETE && !q->context->error)
        pthread_cond_wait(&moved, &lock);
    cl_result r = q->context->error ? CL_EXEC_STATUS_ERROR
                  : fails           ? CL_OUT_OF_RESOURCES
                                    : c->play(c);
    if (r != CL_SUCCESS && !q->context->error) q->context->error = r;
    return r;
}

static void *queue_main(void *arg) {
    cl_queue q = arg;
    pthread_mutex_lock(&lock);
    for (;;) {
        while (q->played == q->flushed && !q->is_closing) pthread_cond_wait(&moved, &lock);
        command *c = q->first;
        if (!c) break;
        q->first = c->next;
        c->event->status = play(q, c);
        q->played++;
        command_free(c);
        something_moved();
    }
    context_drop(q->context);
    free(q);
    atomic_fetch_sub(&fake_opencl.queues, 1);
    something_moved();
    pthread_mutex_unlock(&lock);
    return NULL;
}

cl_queue clCreateCommandQueue(cl_context c, cl_device device, uint64_t properties,
                              cl_result *result) {
    (void)device;
    ENTER_OR_NONE(result);
    if (c->error || properties) {
        *result = leave(CL_INVALID_CONTEXT);
        return NULL;
    }
    cl_queue q = get(sizeof *q);
    q->context = c;
    c->holders++;
    if (pthread_create(&q->thread, NULL, queue_main, q) != 0) abort();
    (void)pthread_detach(q->thread);
    atomic_fetch_add(&fake_opencl.queues, 1);
    *result = leave(CL_SUCCESS);
    return q;
}

/* What is queued still runs; here, it is waited for, so that books are right afterwards. */
cl_result clReleaseCommandQueue(cl_queue q) {
    ENTER;
    int before = fake_opencl.queues;
    q->is_closing = true;
    something_moved();
    while (fake_opencl.queues >= before) pthread_cond_wait(&moved, &lock);
    return leave(CL_SUCCESS);
}

cl_result clFlush(cl_queue q) {
    ENTER;
    q->flushed = q->put;
    something_moved();
    return leave(CL_SUCCESS);
}

static cl_result put(cl_queue q, command want, unsigned n, const cl_event *waits, cl_event *event) {
    bool is_behind = n && waits[0]->status < 0;
    command *c = get(sizeof *c);
    *c = want;
    if (n > 1 || q->context->error == CL_DEVICE_NOT_AVAILABLE) {
        command_free(c);
        return leave(n > 1 ? CL_INVALID_VALUE : CL_DEVICE_NOT_AVAILABLE);
    }
    atomic_fetch_add(&fake_opencl.behind, is_behind);
    c->event = get(sizeof *c->event);
    *c->event = (struct cl_event_st){.holders = 1 + (event != NULL), .status = QUEUED};
    atomic_fetch_add(&fake_opencl.events, 1);
    if (event) *event = c->event;
    if (n) {
        c->waits = waits[0];
        c->waits->holders++;
    }
    if (q->first)
        q->last->next = c;
    else
        q->first = c;
    q->last = c;
    q->put++;
    return leave(CL_SUCCESS);
}

/* ---- commands ------------------------------------------------------------ */

static cl_result play_nothing(command *c) {
    (void)c;
    return CL_SUCCESS;
}

static cl_result play_copy(command *c) {
    pthread_mutex_unlock(&lock);
    memmove(c->at_to, c->at_from, c->bytes);
    pthread_mutex_lock(&lock);
    return CL_SUCCESS;
}

static bool is_inside(cl_buffer b, size_t offset, size_t bytes) {
    return bytes && offset <= b->size && bytes <= b->size - offset;
}

cl_result clEnqueueWriteBuffer(cl_queue q, cl_buffer to, unsigned blocks, size_t offset,
                               size_t bytes, const void *from, CL_WAITS) {
    ENTER;
    if (blocks || to->context != q->context || !is_inside(to, offset, bytes))
        return leave(CL_INVALID_VALUE);
    return put(q,
               (command){.play = play_copy,
                         .to = buffer_hold(to),
                         .at_to = to->bytes + offset,
                         .at_from = from,
                         .bytes = bytes},
               n, waits, event);
}

cl_result clEnqueueReadBuffer(cl_queue q, cl_buffer from, unsigned blocks, size_t offset,
                              size_t bytes, void *to, CL_WAITS) {
    ENTER;
    if (blocks || from->context != q->context || !is_inside(from, offset, bytes))
        return leave(CL_INVALID_VALUE);
    return put(q,
               (command){.play = play_copy,
                         .from = buffer_hold(from),
                         .at_to = to,
                         .at_from = from->bytes + offset,
                         .bytes = bytes},
               n, waits, event);
}

cl_result clEnqueueCopyBuffer(cl_queue q, cl_buffer from, cl_buffer to, size_t from_offset,
                              size_t to_offset, size_t bytes, CL_WAITS) {
    ENTER;
    if (from->context != q->context || to->context != q->context ||
        !is_inside(from, from_offset, bytes) || !is_inside(to, to_offset, bytes))
        return leave(CL_INVALID_VALUE);
    return put(q,
               (command){.play = play_copy,
                         .to = buffer_hold(to),
                         .from = buffer_hold(from),
                         .at_to = to->bytes + to_offset,
                         .at_from = from->bytes + from_offset,
                         .bytes = bytes},
               n, waits, event);
}

static cl_result play_fill(command *c) {
    memset(c->at_to, 0, c->bytes);
    return CL_SUCCESS;
}

/* With zeros alone. */
cl_result clEnqueueFillBuffer(cl_queue q, cl_buffer to, const void *pattern, size_t pattern_bytes,
                              size_t offset, size_t bytes, CL_WAITS) {
    const uint32_t zero = 0;
    ENTER;
    if (pattern_bytes != sizeof zero || memcmp(pattern, &zero, sizeof zero) != 0 ||
        !is_inside(to, offset, bytes))
        return leave(CL_INVALID_VALUE);
    return put(
        q,
        (command){
            .play = play_fill, .to = buffer_hold(to), .at_to = to->bytes + offset, .bytes = bytes},
        n, waits, event);
}

cl_result clEnqueueMarkerWithWaitList(cl_queue q, CL_WAITS) {
    ENTER;
    return put(q, (command){.play = play_nothing}, n, waits, event);
}

cl_result clEnqueueBarrierWithWaitList(cl_queue q, CL_WAITS) {
    ENTER;
    return put(q, (command){.play = play_nothing}, n, waits, event);
}

/* Blocks; the queue has nothing else to do. */
void *clEnqueueMapBuffer(cl_queue q, cl_buffer b, unsigned blocks, uint64_t flags, size_t offset,
                         size_t bytes, CL_WAITS, cl_result *result) {
    (void)waits;
    (void)event;
    ENTER_OR_NONE(result);
    if (!blocks || n || !flags || b->context != q->context || !is_inside(b, offset, bytes)) {
        *result = leave(CL_INVALID_VALUE);
        return NULL;
    }
    atomic_fetch_add(&fake_opencl.maps, 1);
    *result = leave(CL_SUCCESS);
    return b->bytes + offset;
}

cl_result clEnqueueUnmapMemObject(cl_queue q, cl_buffer b, void *at, CL_WAITS) {
    (void)q;
    (void)n;
    (void)waits;
    (void)event;
    ENTER;
    if (at != b->bytes) return leave(CL_INVALID_VALUE);
    atomic_fetch_sub(&fake_opencl.maps, 1);
    return leave(CL_SUCCESS);
}

/* ---- programs and kernels ------------------------------------------------ */

cl_program clCreateProgramWithSource(cl_context c, unsigned n, const char *const *texts,
                                     const size_t *lengths, cl_result *result) {
    (void)c;
    (void)lengths;
    ENTER_OR_NONE(result);
    if (!n || !texts[0]) {
        *result = leave(CL_INVALID_VALUE);
        return NULL;
    }
    cl_program p = get(sizeof *p);
    p->holders = 1;
    atomic_fetch_add(&fake_opencl.programs, 1);
    *result = leave(CL_SUCCESS);
    return p;
}

cl_result clBuildProgram(cl_program p, unsigned n, const cl_device *devices, const char *options,
                         void (*notify)(cl_program, void *), void *user) {
    (void)n;
    (void)devices;
    (void)options;
    (void)notify;
    (void)user;
    ENTER;
    if (fake_opencl.refuses_text) return leave(CL_BUILD_PROGRAM_FAILURE);
    p->is_built = true;
    atomic_fetch_add(&fake_opencl.builds, 1);
    return leave(CL_SUCCESS);
}

cl_result clGetProgramBuildInfo(cl_program p, cl_device device, unsigned which, size_t size,
                                void *value, size_t *needed) {
    static const char log[] = "line 3: this is no OpenCL";
    (void)p;
    (void)device;
    ENTER;
    if (which != CL_BUILD_LOG) return leave(CL_INVALID_VALUE);
    return tell(log, sizeof log, size, value, needed);
}

cl_result clReleaseProgram(cl_program p) {
    ENTER;
    free(p);
    atomic_fetch_sub(&fake_opencl.programs, 1);
    return leave(CL_SUCCESS);
}

cl_kernel clCreateKernel(cl_program p, const char *name, cl_result *result) {
    size_t i = 0;
    ENTER_OR_NONE(result);
    while (i < n_registered && strcmp(registered[i].name, name) != 0) i++;
    if (!p->is_built || i == n_registered) {
        *result = leave(WRONG_KERNEL_NAME);
        return NULL;
    }
    cl_kernel k = get(sizeof *k);
    k->run = registered[i].run;
    atomic_fetch_add(&fake_opencl.kernels, 1);
    *result = leave(CL_SUCCESS);
    return k;
}

/* The first argument is a struct, all others are buffers: so is every kernel of the library's. */
cl_result clSetKernelArg(cl_kernel k, unsigned i, size_t size, const void *value) {
    ENTER;
    if (i >= FAKE_OPENCL_ARGS || (i && size != sizeof(cl_buffer))) return leave(CL_INVALID_VALUE);
    argument *a = &k->args[i];
    free(a->value);
    *a = (argument){.is_buffer = i != 0, .size = size};
    if (i) {
        memcpy(&a->buffer, value, sizeof a->buffer);
    } else {
        a->value = get(size);
        memcpy(a->value, value, size);
    }
    return leave(CL_SUCCESS);
}

cl_result clReleaseKernel(cl_kernel k) {
    ENTER;
    free(k->args[0].value);
    free(k);
    atomic_fetch_sub(&fake_opencl.kernels, 1);
    return leave(CL_SUCCESS);
}

#ifndef FAKE_OPENCL_HALF
static cl_result play_launch(command *c) {
    const void *args[FAKE_OPENCL_ARGS];
    for (int i = 0; i < FAKE_OPENCL_ARGS; i++)
        args[i] = c->args[i].buffer ? c->args[i].buffer->bytes : c->args[i].value;
    pthread_mutex_unlock(&lock);
    cl_result r = c->run(args, c->items);
    pthread_mutex_lock(&lock);
    return r;
}

cl_result clEnqueueNDRangeKernel(cl_queue q, cl_kernel k, unsigned rank, const size_t *first,
                                 const size_t *items, const size_t *group, CL_WAITS) {
    ENTER;
    if (rank != 1 || first || !*group || *items % *group) return leave(CL_INVALID_VALUE);
    command c = {.play = play_launch, .run = k->run, .items = *items};
    for (int i = 0; i < FAKE_OPENCL_ARGS; i++) {
        c.args[i] = k->args[i];
        (void)buffer_hold(c.args[i].buffer);
        if (!c.args[i].value) continue;
        c.args[i].value = get(c.args[i].size);
        memcpy(c.args[i].value, k->args[i].value, c.args[i].size);
    }
    return put(q, c, n, waits, event);
}
#endif
