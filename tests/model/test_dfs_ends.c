/* SPDX-License-Identifier: MIT
 *
 * The end of runs over all interleavings, on the real source: begin.c, pool.c, tickets.c and what
 * they stand on, by the calls that the session makes. A mix is a word, one letter an actor:
 *
 *   S  runs a step and waits for it: the caller of df_program_run
 *   A  starts one and goes
 *   W  a thread that polls until nothing goes on
 *   V  a worker of the pool's own; E  stops the pool when all outcomes are told
 *   L  the thread that looks after deadlines; T  lets the time pass them, and polls once; t  does
 *      not poll
 *   Z  a thread that is lent, and polls when it is asked to
 *   K  ends the async kernels of all runs, as they are started
 *   C  cancels all runs; F  those that have a handle, by the handle
 *   G  gives the ticket that is in the way of all runs
 *   X  closes: refuses what comes, cancels what goes on, and waits for the last; Y  and frees all
 *   N  makes another executor of the group meanwhile
 *   D  a device: plays what is put on its queue; Q  the same, and a piece of its work fails before;
 *      R  the same, and refuses what comes when it has played all once
 *   B  aborts from outside the rendezvous that a factory made; P  sends what a run waits for
 *
 * Threads go from one to the other where they block or end, and at so many more places, any, as
 * there may be preemptions.
 *
 * At the end of every schedule each outcome was told once; no run holds anything, or is in a line;
 * the counts are back at 0, and the frames as they were.
 */
#include "model/played_device.h"
#include "support/scale.h"

#include "base/clock.h"
#include "device/books.h"
#include "exec/step.h"
#include "rendezvous/finish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ACTORS = 5, MAX_RUNS = 3, MAX_BODIES = 3, ARENA = 36 * 1024, PLAN = 7, VALUE = 42 };
enum { START = 1000, DEADLINE = 2000, LATE = 3000 }; /* of the clock */

typedef struct scene {
    const plan *p;
    const char *mix;
    unsigned codes;     /* bit c: a run may end with code c; 0: only with DF_OK */
    int begun;          /* runs that were started before */
    int helpers;        /* threads that the pool believes to have */
    bool has_deadline;  /* of each run */
    bool is_late;       /* it has passed when the run is begun */
    bool is_in_the_way; /* G's ticket */
    bool in_kernel;     /* C and F do it inside the async kernel's start, and not elsewhere */
    uint32_t made;      /* 1: a factory makes a local rendezvous; 2: one that is not CLOSED */
    bool in_create;     /* the same inside the factory's create, */
    bool in_done;       /* or inside done */
    bool chains;        /* the first done starts one run more */
    int lent;           /* threads, and one more is 1 */
    bool deeper;        /* one preemption more */
} scene;

typedef struct one_run {
    int told;
    df_code code;
    bool is_beside, is_started;
    df_run_stats stats, stats_then;
    df_tensor *fed;
} one_run;

typedef struct world {
    const scene *scene;
    pool *pool;
    run_group group;
    executor *x, *other;
    memory *host;
    uint64_t now;
    one_run runs[MAX_RUNS];
    int n_runs;  /* begun, and to be begun */
    int n_begun; /* their numbers are given */
    int n_told;
    int n_events; /* begun, or told */
    int holds;    /* of the executor, by runs */
    df_kernel_handle handles[MAX_RUNS];
    int n_handles, n_ended, n_met;
    df_cancel cancel;
    ticket way;
    bool gives; /* G has not yet */
    df_rendezvous *made;
    played_device queue; /* has stopped by R */
    int n_asked, n_came; /* of lent threads */
    void (*bodies[MAX_BODIES])(void *arg);
    void *args[MAX_BODIES];
    int n_bodies;
    size_t live, used; /* of the arena: blocks, bytes */
    _Alignas(64) unsigned char arena[ARENA];
} world;

static world w;
static df_key *key; /* of channel 0; never changes */

uint64_t clock_now(void) {
    return w.now;
}

uint64_t clock_after(uint64_t ns) {
    return ns > UINT64_MAX - w.now ? UINT64_MAX : w.now + ns;
}

/* ---- memory that is built anew in place ---------------------------------- */

/* As little as does, since it is part of each state. A local rendezvous takes much. */
static size_t room(void) {
    const scene *sc = w.scene;
    int frames = sc->begun + sc->chains + 2 * (strchr(sc->mix, 'N') != NULL);
    for (const char *m = sc->mix; *m; m++) frames += *m == 'S' || *m == 'A';
    if (sc->p->queues) return 28 * 1024;
    return sc->made ? ARENA : (frames > 1 ? 20 : 13) * 1024;
}

static void *arena_take(void *user, size_t bytes, size_t alignment) {
    world *x = user;
    size_t at = (x->used + alignment - 1) / alignment * alignment;
    if (at + bytes > room()) {
        dfs_fail("the arena is too small");
        return NULL;
    }
    x->used = at + bytes;
    x->live++;
    return x->arena + at;
}

static void arena_give(void *user, void *block, size_t bytes, size_t alignment) {
    world *x = user;
    (void)alignment;
    memset(block, 0xee, bytes);
    x->live--;
}

static const df_allocator blocks = {
    .struct_size = sizeof blocks, .user = &w, .alloc = arena_take, .free = arena_give};

/* ---- threads: their bodies are actors ------------------------------------ */

static void *take_body(void *user, const char *name, void (*body)(void *arg), void *arg) {
    (void)user;
    (void)name;
    if (w.n_bodies == MAX_BODIES) return NULL;
    w.args[w.n_bodies] = arg;
    w.bodies[w.n_bodies++] = body;
    return &w;
}

static void join_body(void *user, void *thread) {
    (void)user;
    (void)thread;
}

static const df_threads threads = {
    .struct_size = sizeof threads, .start = take_body, .join = join_body};

/* ---- kernels ------------------------------------------------------------- */

static void end_all(const df_cancel *c) {
    const df_error why = {.code = DF_CANCELLED, .message = "by the test"};
    runs_end(w.pool, c ? NULL : &w.group, c, &why);
}

static df_code run_node(df_kernel *c, df_error *err) {
    (void)c;
    (void)err;
    DF_SCHED_POINT();
    return DF_OK;
}

static df_code start_node(df_kernel *c, df_error *err) {
    (void)err;
    df_kernel_handle h = df_kernel_handle_of(c);
    w.handles[w.n_handles++] = h;
    DF_SCHED_POINT();
    if (w.scene->in_kernel) end_all(NULL);
    return DF_OK;
}

/* Two of these are there at the same time, or none ends. */
static df_code meet_other(df_kernel *c, df_error *err) {
    (void)c;
    (void)err;
    w.n_met++;
    while (w.n_met < 2) sched_blocked();
    return DF_OK;
}

static const op_def op = {.name = "Op"};
static const kernel_def meeting_kernel = {.op = &op, .kinds = "CPU", .compute = meet_other};
static const kernel_def kernel = {.op = &op, .kinds = "CPU", .compute = run_node};
static const kernel_def async_kernel = {
    .op = &op, .kinds = "CPU", .compute = start_node, .flags = KERNEL_ASYNC};

/* ---- devices: a CPU, and one whose queue is played ------------------------ */

static df_device cpu;
static df_device *devices[] = {&cpu, NULL};
static const plan_device plan_devices[] = {{.full_name = "cpu", .kind = "CPU"},
                                           {.full_name = "sim", .kind = "SIM"}};

/* ---- plans --------------------------------------------------------------- */

#define NODE(NAME, ROLE, ...)                                                                      \
    { .name = NAME, .op = &op, .role = ROLE, .variable = PLAN_NONE, __VA_ARGS__ }
#define FEED  NODE("f", ROLE_FEED, .flags = PLAN_KNOWN_SHAPES, .n_outputs = 1)
#define FETCH NODE("z", ROLE_FETCH, .flags = PLAN_KNOWN_SHAPES, .n_inputs = 1)
#define KERNEL(NAME)                                                                               \
    NODE(NAME, ROLE_KERNEL, .kernel = &kernel, .flags = PLAN_KNOWN_SHAPES, .index = PLAN_NONE)
#define ASYNC(NAME, FIRST, COUNT)                                                                  \
    NODE(NAME, ROLE_ASYNC, .kernel = &async_kernel, .flags = PLAN_KNOWN_SHAPES | PLAN_ENDS_LATER,  \
         .index = PLAN_NONE, .first_after = FIRST, .n_after = COUNT)
#define COUNT_OF(ARRAY) (sizeof(ARRAY) / sizeof *(ARRAY))
#define A_PLAN(NAME, ...)                                                                          \
    {                                                                                              \
        .id = PLAN, .devices = plan_devices, .n_devices = 2, .nodes = NAME##_nodes,                \
        .n_nodes = COUNT_OF(NAME##_nodes), .blocks = NAME##_blocks,                                \
        .n_blocks = COUNT_OF(NAME##_blocks) - 1, .after = NAME##_after,                            \
        .n_after = COUNT_OF(NAME##_after), .inputs = inputs, .n_inputs = 1, .slots = slots,        \
        .n_slots = 2, .feeds = feeds, .n_feeds = 1, .n_fetches = 1, .channels = channels,          \
        .n_channels = NAME##_channels, __VA_ARGS__                                                 \
    }

static int32_t inputs[] = {0};
static plan_slot slots[] = {{.type = &(edge_type){.dtype = DF_INT64}, .stays = PLAN_BORROWED},
                            {.type = &(edge_type){.dtype = DF_BOOL, .rank = 1}}};
static plan_feed feeds[] = {{.name = "x:0", .type = {.dtype = DF_INT64}}};
static plan_channel channels[] = {
    {.src_memory = DF_MEMORY_HOST, .dst_memory = DF_MEMORY_HOST, .control = true, .producer = "s"}};

/* All in one block. */
static plan_node line_nodes[] = {FEED, KERNEL("a"), FETCH};
static plan_block line_blocks[] = {{0, 3, 0, 0, 1}, {.pending = 1}};
static uint32_t line_after[] = {1};
enum { line_channels = 0 };
static const plan line = A_PLAN(line, .queues = 0);

/* An async kernel between. */
static plan_node later_nodes[] = {FEED, ASYNC("a", 0, 1), FETCH};
static plan_block later_blocks[] = {{0, 2, 0, 1, 0}, {2, 1, 1, 1, 1}, {.pending = 1}};
static uint32_t later_after[] = {1, 2};
enum { later_channels = 0 };
static const plan later = A_PLAN(later, .queues = 0);

/* One beside it that two threads may take. */
static plan_node beside_nodes[] = {FEED, ASYNC("a", 0, 1), KERNEL("b"), FETCH};
static plan_block beside_blocks[] = {
    {0, 2, 0, 1, 1}, {2, 1, 0, 2, 1}, {3, 1, 3, 3, 1}, {.pending = 1}};
static uint32_t beside_after[] = {2, 2, 2, 3};
enum { beside_channels = 0 };
static const plan beside = A_PLAN(beside, .queues = 0);

/* A Recv whose Send is in another block, behind an async kernel. */
static plan_node cut_nodes[] = {
    FEED, NODE("r", ROLE_RECV, .flags = PLAN_KNOWN_SHAPES, .n_outputs = 1, .first_slot = 1), FETCH,
    ASYNC("a", 0, 1), NODE("s", ROLE_SEND, .flags = PLAN_KNOWN_SHAPES)};
static plan_block cut_blocks[] = {
    {0, 3, 0, 1, 1}, {3, 1, 0, 2, 0}, {4, 1, 1, 2, 1}, {.pending = 2}};
static uint32_t cut_after[] = {2, 3, 3};
enum { cut_channels = 1 };
static const plan crossing = A_PLAN(cut, .queues = 0);

/* Two async kernels, and behind each one that waits for the other's. */
static plan_node pair_nodes[] = {
    FEED,
    ASYNC("a", 0, 1),
    ASYNC("b", 1, 1),
    NODE("c", ROLE_KERNEL, .kernel = &meeting_kernel, .flags = PLAN_KNOWN_SHAPES),
    NODE("d", ROLE_KERNEL, .kernel = &meeting_kernel, .flags = PLAN_KNOWN_SHAPES),
    FETCH};
static plan_block pair_blocks[] = {
    {0, 3, 0, 2, 0}, {3, 1, 1, 2, 1}, {4, 1, 1, 3, 1}, {5, 1, 2, 4, 1}, {.pending = 1}};
static uint32_t pair_after[] = {1, 2, 3, 3, 4};
enum { pair_channels = 0 };
static const plan pair = A_PLAN(pair, .queues = 0);

/* A Recv, and its value comes from elsewhere. */
static plan_node alone_nodes[] = {
    FEED, NODE("r", ROLE_RECV, .flags = PLAN_KNOWN_SHAPES, .n_outputs = 1, .first_slot = 1), FETCH};
static plan_block alone_blocks[] = {{0, 3, 0, 0, 1}, {.pending = 1}};
static uint32_t alone_after[] = {1};
enum { alone_channels = 1 };
static const plan alone = A_PLAN(alone, .queues = 0);

/* A kernel on a queue, of which only the queue's end tells; and one whose end is an event. */
static plan_node queued_nodes[] = {
    FEED, NODE("q", ROLE_QUEUE, .kernel = &kernel, .flags = PLAN_KNOWN_SHAPES, .device = 1), FETCH};
static plan_block queued_blocks[] = {{0, 3, 0, 0, 1}, {.pending = 1}};
static uint32_t queued_after[] = {1};
enum { queued_channels = 0 };
static const plan queued = A_PLAN(queued, .queues = 2);

static plan_node event_nodes[] = {FEED,
                                  NODE("q", ROLE_QUEUE_LATER, .kernel = &kernel,
                                       .flags = PLAN_KNOWN_SHAPES | PLAN_ENDS_LATER, .device = 1,
                                       .first_after = 0, .n_after = 1),
                                  FETCH};
static plan_block event_blocks[] = {{0, 2, 0, 1, 0}, {2, 1, 1, 1, 1}, {.pending = 1}};
static uint32_t event_after[] = {1, 2};
enum { event_channels = 0 };
static const plan event_plan = A_PLAN(event, .queues = 2);

/* What is sent behind a queue's work is received when a fence has been reached: its block waits for
 * it, or it is an event. An async kernel goes on beside it. */
#define FROM_QUEUE NODE("s", ROLE_SEND, .flags = PLAN_KNOWN_SHAPES, .device = 1)
static plan_node fence_nodes[] = {
    FEED, FROM_QUEUE,
    NODE("r", ROLE_RECV, .flags = PLAN_KNOWN_SHAPES, .n_outputs = 1, .first_slot = 1), FETCH};
static plan_block fence_blocks[] = {{0, 4, 0, 0, 1}, {.pending = 1}};
static uint32_t fence_after[] = {1};
enum { fence_channels = 1 };
static const plan fence_plan = A_PLAN(fence, .queues = 2);

static plan_node held_nodes[] = {FEED, ASYNC("a", 0, 1), FROM_QUEUE,
                                 NODE("r", ROLE_RECV, .flags = PLAN_KNOWN_SHAPES | PLAN_ENDS_LATER,
                                      .n_outputs = 1, .first_slot = 1, .first_after = 1,
                                      .n_after = 1),
                                 FETCH};
static plan_block held_blocks[] = {{0, 4, 0, 2, 0}, {4, 1, 2, 2, 1}, {.pending = 1}};
static uint32_t held_after[] = {1, 1, 2};
enum { held_channels = 1 };
static const plan held = A_PLAN(held, .queues = 2);

/* ---- runs ---------------------------------------------------------------- */

static void note_end(one_run *r, df_code code, df_tensor *const *results, size_t n) {
    if (r->told++) dfs_fail("an outcome was told twice");
    w.n_told++;
    w.n_events++;
    r->code = code;
    r->stats_then = r->stats;
    if (n != (code == DF_OK)) dfs_fail("%zu results", n);
    if (n && *(const int64_t *)df_tensor_data(results[0]) != VALUE) dfs_fail("a wrong result");
    for (size_t i = 0; i < n; i++) df_tensor_unref(results[i]);
}

static void start_one(one_run *r);

static void tell_run(void *user, const df_error *err, df_tensor *const *results, size_t n) {
    note_end(user, err ? err->code : DF_OK, results, n);
    if (w.scene->in_done) end_all(NULL);
    if (w.scene->chains && w.n_begun < w.n_runs) start_one(&w.runs[w.n_begun++]);
}

static run_request request(one_run *r) {
    const scene *sc = w.scene;
    r->stats = (df_run_stats){.struct_size = sizeof r->stats};
    run_request rq = {.feeds = &r->fed, .cancel = &w.cancel, .stats = &r->stats};
    if (sc->has_deadline) rq.deadline = DEADLINE;
    if (sc->is_late) rq.deadline = 1;
    return rq;
}

static void run_one(one_run *r) {
    run_request rq = request(r);
    df_tensor *result = NULL;
    df_error err;
    df_code code = executor_run(w.x, &rq, &result, &err);
    note_end(r, code, &result, result != NULL);
}

static void start_one(one_run *r) {
    run_request rq = request(r);
    rq.done = tell_run;
    rq.user = r;
    r->is_beside = true;
    executor_start(w.x, &rq);
    r->is_started = true;
    w.n_events++;
}

static void hold(void *owner) {
    ((world *)owner)->holds++;
}

static void release(void *owner) {
    ((world *)owner)->holds--;
}

/* ---- what an actor does -------------------------------------------------- */

static bool are_told(void) {
    return w.n_told == w.n_runs;
}

static bool are_over(void) {
    return are_told() && w.holds == 0;
}

static void end_kernels(void) {
    while (!are_over()) {
        if (w.n_ended < w.n_handles)
            df_kernel_done(w.handles[w.n_ended++], NULL);
        else
            sched_blocked();
    }
}

/* Where nothing goes on, what was started before is told; and it polls again when something was
 * begun or told meanwhile. */
static void poll_all(void) {
    while (!are_told()) {
        int seen = w.n_events;
        bool were[MAX_RUNS];
        for (int i = 0; i < MAX_RUNS; i++) were[i] = w.runs[i].is_started;
        if (pool_poll(w.pool, UINT64_MAX, NULL)) continue;
        for (int i = 0; i < MAX_RUNS; i++)
            if (were[i] && !w.runs[i].told) dfs_fail("nothing goes on, and a run is not told");
        if (seen == w.n_events) sched_blocked();
    }
}

static void ask(void *user) {
    (void)user;
    w.n_asked++;
}

static void come_when_asked(void) {
    while (!are_told()) {
        if (w.n_came == w.n_asked) {
            sched_blocked();
            continue;
        }
        w.n_came++;
        (void)pool_poll(w.pool, 0, NULL);
    }
}

static void give_way(void) {
    w.gives = false;
    tickets_give(&w.group.tickets, &w.way);
}

static void close_group(void) {
    atomic_put(&w.group.is_closed, 1, RELAXED);
    end_all(NULL);
    if (!runs_await(w.pool, &w.group, UINT64_MAX)) dfs_fail("the close gave up");
    for (int i = 0; i < w.n_runs; i++)
        if (w.runs[i].is_beside && w.runs[i].stats.step && !w.runs[i].told)
            dfs_fail("the close left a run untold");
}

/* Who was in a call may not have come back, but needs nothing any more. */
static void free_group(void) {
    while (w.n_begun == 0 || !w.runs[0].stats.step) sched_blocked(); /* a call that has begun */
    close_group();
    while (w.holds) sched_blocked();
    executor_free(w.x);
    run_group_fini(&w.group);
    memset(&w.group, 0xee, sizeof w.group);
    w.x = NULL;
}

static executor_options options_of(void);

static void make_other(void) {
    executor_options o = options_of();
    if (executor_new(&o, &w.other, NULL) != DF_OK) dfs_fail("no other executor");
}

static void fire(void) {
    if (!atomic_swap(&w.cancel.is_fired, 1, RELAXED)) end_all(&w.cancel);
}

static void run_body(int i) {
    if (i < w.n_bodies) w.bodies[i](w.args[i]);
}

static void play_all(char how) {
    const df_error why = {.code = DF_DATA_LOSS, .message = "in the queue"};
    if (how == 'Q') {
        step *s = w.x->made;
        if (live_try_hold(&s->live)) { /* its work goes on */
            df_work_fail(&s->work, &why);
            run_help(s, NULL);
        }
    }
    while (!are_over()) {
        if (played_one(&w.queue)) continue;
        w.queue.has_stopped = how == 'R';
        sched_blocked();
    }
}

static void send_from_elsewhere(void) {
    const df_endpoint from = {.memory = DF_MEMORY_HOST};
    while (!w.made && !are_over()) sched_blocked();
    if (w.made) (void)df_rendezvous_send(w.made, key, &from, w.x->token);
}

static void abort_from_elsewhere(void) {
    const df_error why = {.code = DF_ABORTED, .message = "from outside"};
    while (!w.made && !are_over()) sched_blocked();
    df_rendezvous_abort(w.made, &why);
}

static void act(void *arg, int i) {
    (void)arg;
    switch (w.scene->mix[i]) {
    case 'S':
        run_one(&w.runs[w.n_begun++]);
        break;
    case 'A':
        start_one(&w.runs[w.n_begun++]);
        break;
    case 'W':
        poll_all();
        break;
    case 'V':
        run_body(0);
        break;
    case 'L':
        run_body(w.n_bodies - 1);
        break;
    case 't':
        w.now = LATE;
        break;
    case 'Z':
        come_when_asked();
        break;
    case 'E':
        while (!are_told()) sched_blocked();
        pool_stop(w.pool);
        break;
    case 'T':
        w.now = LATE;
        (void)pool_poll(w.pool, 0, NULL);
        break;
    case 'K':
        end_kernels();
        break;
    case 'C':
        end_all(NULL);
        break;
    case 'F':
        fire();
        break;
    case 'G':
        give_way();
        break;
    case 'X':
        close_group();
        break;
    case 'Y':
        free_group();
        break;
    case 'N':
        make_other();
        break;
    case 'D':
    case 'Q':
    case 'R':
        play_all(w.scene->mix[i]);
        break;
    case 'P':
        send_from_elsewhere();
        break;
    case 'B':
        abort_from_elsewhere();
        break;
    default:
        dfs_fail("no such actor");
        break;
    }
}

/* ---- before and after ---------------------------------------------------- */

static uint64_t touched[1] = {1}, untouched[1] = {0};
static const touches writes = {.reads = untouched, .writes = touched, .words = 1, .any = true};

/* A local one, behind calls that say nothing of CLOSED. */
static df_code open_send(void *self, const df_key *k, const df_endpoint *from, df_tensor *t) {
    df_code code = df_rendezvous_send(self, k, from, t);
    df_tensor_unref(t);
    return code;
}

static void open_recv(void *self, df_recv *r) {
    df_rendezvous_recv(self, r);
}

static void open_cancel(void *self, df_recv *r) {
    df_rendezvous_cancel(self, r);
}

static void open_abort(void *self, const df_error *why) {
    df_rendezvous_abort(self, why);
}

static void open_destroy(void *self) {
    df_rendezvous_unref(self);
}

static const df_rendezvous_ops open_ops = {.struct_size = sizeof open_ops,
                                           .name = "open",
                                           .send = open_send,
                                           .recv = open_recv,
                                           .cancel = open_cancel,
                                           .abort = open_abort,
                                           .destroy = open_destroy};

static df_code make_meeting(void *user, const df_step_info *info, df_rendezvous **out,
                            df_error *err) {
    (void)user;
    (void)info;
    df_rendezvous *made = NULL;
    if (w.scene->in_create) end_all(NULL);
    df_code code = df_rendezvous_new_local(&blocks, &made, err);
    if (code == DF_OK && w.scene->made == 2)
        code = df_rendezvous_new(&blocks, &open_ops, made, &made, err);
    if (code == DF_OK && !w.made) w.made = df_rendezvous_ref(made);
    *out = made;
    return code;
}

static executor_options options_of(void) {
    return (executor_options){.plan = w.scene->p,
                              .devices = devices,
                              .host = w.host,
                              .alloc = &blocks,
                              .pool = w.pool,
                              .group = &w.group,
                              .touches = &writes,
                              .hold = hold,
                              .release = release,
                              .owner = &w};
}

static void cancel_freed(df_cancel *c) {
    (void)c;
    dfs_fail("the handle was freed");
}

static void build(void *arg) {
    world *x = arg;
    const scene *sc = x->scene;
    const int64_t value = VALUE;
    memset(x, 0, sizeof *x);
    x->scene = sc;
    x->now = START;
    channels[0].key = key;
    x->host = memory_new_host(&blocks);
    if (sc->p->queues) played_device_open(&x->queue, &blocks, x->host);
    devices[1] = x->queue.d ? x->queue.d : &cpu;
    refcount_init(&x->cancel.refs);
    x->cancel.free = cancel_freed;
    const df_lent_threads lent = {.struct_size = sizeof lent, .count = sc->lent - 1, .wake = ask};
    if (pool_new(&blocks, &threads, sc->helpers, sc->lent ? &lent : NULL, &x->pool, NULL) != DF_OK)
        dfs_fail("no pool");
    if (strchr(sc->mix, 'V')) (void)pool_start(x->pool, NULL);
    if (!run_group_init(&x->group)) dfs_fail("no group");
    if (sc->made) x->group.factory.create = make_meeting;
    executor_options o = options_of();
    if (executor_new(&o, &x->x, NULL) != DF_OK) dfs_fail("no executor");
    x->n_runs = sc->begun + sc->chains;
    for (const char *m = sc->mix; *m; m++) x->n_runs += *m == 'S' || *m == 'A';
    for (int i = 0; i < x->n_runs; i++)
        if (df_tensor_from(&blocks, DF_INT64, DF_SCALAR, &value, &x->runs[i].fed, NULL) != DF_OK)
            dfs_fail("nothing to be fed");
    x->way = (ticket){.what = &writes};
    x->gives = sc->is_in_the_way;
    if (x->gives) (void)tickets_take(&x->group.tickets, &x->way);
    while (x->n_begun < sc->begun) start_one(&x->runs[x->n_begun++]);
}

/* What is left, one thing after another. */
static void finish(void) {
    if (w.gives) give_way();
    for (int i = 0; i < 100 && !are_over(); i++) {
        (void)pool_poll(w.pool, 0, NULL);
        if (w.n_ended < w.n_handles) df_kernel_done(w.handles[w.n_ended++], NULL);
        while (played_one(&w.queue)) {
        }
    }
}

static void check_frames(executor *x) {
    size_t made = 0, spares = 0;
    for (step *s = x->spares; s; s = s->next_spare) spares++;
    for (step *s = x->made; s; s = s->next_made) {
        made++;
        if (atomic_load(&s->live.word) != 0) dfs_fail("the count did not come back to 0");
        if (s->inbox.first || s->listed || s->is_timed || s->waiting)
            dfs_fail("a step is in a list");
        if (s->has_error || s->over || s->end || s->joined || s->is_ending || s->abandoned ||
            s->left || s->is_beside || s->keeps || atomic_load(&s->work.failed))
            dfs_fail("a frame is not as it was");
        for (uint32_t b = 0; b < x->o.plan->n_blocks; b++)
            if (atomic_load(&s->blocks[b].at) != NOT_RUNNING) dfs_fail("a block is not at rest");
        if (s->results[0]) dfs_fail("a result is kept");
    }
    if (made != spares || x->n_running) dfs_fail("%zu frames, and %zu not in use", made, spares);
}

static void check_run(one_run *r) {
    const unsigned codes = w.scene->codes ? w.scene->codes : 1u << DF_OK;
    if (r->told != 1) dfs_fail("an outcome was told %d times", r->told);
    if (!(codes >> r->code & 1)) dfs_fail("a run ended with %s", df_code_name(r->code));
    if (memcmp(&r->stats, &r->stats_then, sizeof r->stats) != 0) dfs_fail("stats changed later");
    if (r->stats.transfers > w.scene->p->n_channels || r->stats.n_pairs > 1)
        dfs_fail("%d transfers", (int)r->stats.transfers);
    if (!refcount_is_one(&r->fed->refs)) dfs_fail("what was fed is held");
    df_tensor_unref(r->fed);
}

static void check_fences(const df_device *d) {
    size_t n = 0;
    if (!d) return;
    for (const device_fence *f = d->books->made; f; f = f->next_made) n++;
    if (d->books->n_spare != n) dfs_fail("a fence is held");
    if (d->books->n_kept != DF_QUEUE_KINDS) dfs_fail("a fence is kept at hand for nobody");
}

static void check_end(void *arg) {
    world *x = arg;
    uint64_t next = 0;
    finish();
    for (int i = 0; i < x->n_runs; i++) check_run(&x->runs[i]);
    if (x->holds) dfs_fail("the executor is held %d times", x->holds);
    if (!refcount_is_one(&x->cancel.refs)) dfs_fail("the handle is held");
    if (x->x && (x->group.tickets.first || x->group.tickets.last)) dfs_fail("a ticket is in line");
    if (pool_poll(x->pool, 0, &next)) dfs_fail("the pool counts a run");
    if (next != UINT64_MAX) dfs_fail("the pool knows a deadline");
    if (x->queue.n_queued) dfs_fail("a queue has work of no run");
    if (x->x) check_frames(x->x);
    if (x->other) check_frames(x->other);
    executor_free(x->other);
    df_rendezvous_unref(x->made);
    if (x->x) run_group_fini(&x->group);
    executor_free(x->x);
    pool_free(x->pool);
    check_fences(x->queue.d);
    device_close(x->queue.d);
    memory_unref(x->host);
    if (x->live) dfs_fail("%zu blocks are left", x->live);
}

static int bound = 1; /* of preemptions */

static void run_scene(scene sc, uint64_t at_least) {
    bool is_slow = test_scaled(10) == 1;
    w.scene = &sc;
    const df_schedules all = {.actors = (int)strlen(sc.mix),
                              .world = &w,
                              .setup = build,
                              .actor = act,
                              .check = check_end,
                              .world_size = offsetof(world, arena) + room(),
                              .max_preemptions = bound < 2 && !is_slow ? 1 + sc.deeper : bound,
                              .swap = finish_swap};
    df_schedules_report report;
    uint64_t n = dfs_run(all, &report);
    if (report.failed)
        fail_msg("mix %s, %zu blocks: %s\n%s", sc.mix, (size_t)sc.p->n_blocks, report.what,
                 report.schedule);
    printf("%s: %llu schedules, %llu states\n", sc.mix, (unsigned long long)n,
           (unsigned long long)report.states);
    assert_true(n >= at_least);
}

#define RUN(AT_LEAST, ...) run_scene((scene){__VA_ARGS__}, AT_LEAST)
enum {
    MAY_SUCCEED = 1u << DF_OK,
    CANCELLED = 1u << DF_CANCELLED,
    TOO_LATE = 1u << DF_DEADLINE_EXCEEDED,
    REFUSED = 1u << DF_FAILED_PRECONDITION,
    ABORTED = 1u << DF_ABORTED,
    LOST = 1u << DF_DATA_LOSS,
    STOPPED = 1u << DF_UNAVAILABLE
};

/* ---- scenes -------------------------------------------------------------- */

/* Four actors take long: with one plan is enough, if nobody asked for more. */
static bool at(int i, int which) {
    return bound > 1 || i == which;
}

static const plan *const plans[] = {&line, &later, &beside, &crossing};
enum { N_PLANS = 4 };

static void a_caller_that_waits_is_let_go_once(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "SKC", .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 3))
            RUN(10, .p = plans[i], .mix = "SWKF", .helpers = 1, .codes = MAY_SUCCEED | CANCELLED);
    }
}

static void a_run_beside_is_told_once(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "WK", .begun = 1);
        RUN(10, .p = plans[i], .mix = "WWK", .begun = 1);
        RUN(10, .p = plans[i], .mix = "WKC", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 1)) RUN(10, .p = plans[i], .mix = "AWKF", .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "WCF", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
    }
}

/* Also one that is cancelled before the pool knows of it. */
static void a_run_goes_on_until_it_is_told(void **state) {
    (void)state;
    RUN(10, .p = &line, .mix = "AWC", .deeper = true, .codes = MAY_SUCCEED | CANCELLED);
}

static void a_deadline_ends_a_run_once(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "SKT", .has_deadline = true, .codes = MAY_SUCCEED | TOO_LATE);
        RUN(10, .p = plans[i], .mix = "WKT", .begun = 1, .has_deadline = true,
            .codes = MAY_SUCCEED | TOO_LATE);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "AWKT", .has_deadline = true,
                .codes = MAY_SUCCEED | TOO_LATE);
        RUN(10, .p = plans[i], .mix = "SKC", .is_late = true, .codes = CANCELLED | TOO_LATE);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "AWKC", .is_late = true, .codes = CANCELLED | TOO_LATE);
        RUN(10, .p = plans[i], .mix = "TKC", .begun = 1, .has_deadline = true,
            .codes = CANCELLED | TOO_LATE);
    }
}

static void a_run_in_line_is_withdrawn_or_has_its_turn(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "SKGC", .is_in_the_way = true,
                .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "WKGC", .begun = 1, .is_in_the_way = true,
                .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "WKGT", .begun = 1, .has_deadline = true,
                .is_in_the_way = true, .codes = MAY_SUCCEED | TOO_LATE);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "SKGT", .has_deadline = true, .is_in_the_way = true,
                .codes = MAY_SUCCEED | TOO_LATE);
        RUN(10, .p = plans[i], .mix = "WKC", .begun = 2, .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 0))
            RUN(10, .p = plans[i], .mix = "SWKC", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
    }
}

static void a_close_waits_for_the_last(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        RUN(10, .p = plans[i], .mix = "SKX", .codes = MAY_SUCCEED | CANCELLED | REFUSED);
        if (at(i, 0))
            RUN(10, .p = plans[i], .mix = "AWKX", .codes = MAY_SUCCEED | CANCELLED | REFUSED);
        RUN(10, .p = plans[i], .mix = "WKX", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 0))
            RUN(10, .p = plans[i], .mix = "WKXX", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "KXC", .begun = 1, .codes = CANCELLED);
        RUN(10, .p = plans[i], .mix = "NX");
        RUN(10, .p = plans[i], .mix = "SKY", .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "WKY", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
    }
}

static void the_pools_own_threads_do_the_same(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "VKE", .begun = 1, .helpers = 1);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "VKCE", .begun = 1, .helpers = 1,
                .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 3)) RUN(10, .p = plans[i], .mix = "SVKE", .helpers = 1);
    }
}

/* Who takes one of two events wakes somebody for the other. */
static void no_event_waits_while_a_thread_sleeps(void **state) {
    (void)state;
    RUN(10, .p = &pair, .mix = "VWKE", .begun = 1, .helpers = 1);
    RUN(10, .p = &pair, .mix = "WWK", .begun = 1);
}

static void a_device_is_waited_for(void **state) {
    (void)state;
    const plan *const all[] = {&queued, &event_plan, &fence_plan, &held};
    for (int i = 0; i < 4; i++) {
        if (at(i, 1)) RUN(10, .p = all[i], .mix = "SKDC", .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 0))
            RUN(10, .p = all[i], .mix = "WKDC", .begun = 1, .codes = MAY_SUCCEED | CANCELLED);
        if (at(i, 2)) RUN(10, .p = all[i], .mix = "SKQC", .codes = MAY_SUCCEED | CANCELLED | LOST);
        if (at(i, 0))
            RUN(10, .p = all[i], .mix = "SKDT", .has_deadline = true,
                .codes = MAY_SUCCEED | TOO_LATE);
        if (at(i, 2))
            RUN(10, .p = all[i], .mix = "SKRC",
                .codes = MAY_SUCCEED | CANCELLED | STOPPED | LOST | ABORTED);
        if (at(i, 0)) RUN(10, .p = all[i], .mix = "KDXC", .begun = 1, .codes = CANCELLED);
    }
}

static void a_kernel_may_cancel_its_own_run(void **state) {
    (void)state;
    for (int i = 1; i < N_PLANS; i++) {
        RUN(1, .p = plans[i], .mix = "SK", .in_kernel = true, .codes = CANCELLED);
        RUN(1, .p = plans[i], .mix = "SKC", .in_kernel = true, .codes = CANCELLED);
        RUN(1, .p = plans[i], .mix = "WK", .begun = 1, .in_kernel = true, .codes = CANCELLED);
        RUN(1, .p = plans[i], .mix = "SWK", .helpers = 1, .in_kernel = true, .codes = CANCELLED);
    }
}

static void a_rendezvous_of_ones_own_ends_with_its_run(void **state) {
    (void)state;
    RUN(10, .p = &alone, .mix = "WP", .begun = 1, .made = 2);
    RUN(10, .p = &alone, .mix = "SP", .made = 2);
    RUN(10, .p = &alone, .mix = "WPC", .begun = 1, .made = 2, .codes = MAY_SUCCEED | CANCELLED);
    RUN(10, .p = &alone, .mix = "SPC", .made = 2, .codes = MAY_SUCCEED | CANCELLED);
    RUN(10, .p = &alone, .mix = "SPB", .made = 2, .codes = MAY_SUCCEED | ABORTED);
    RUN(10, .p = &alone, .mix = "SBC", .made = 2, .codes = CANCELLED | ABORTED);
    RUN(10, .p = &crossing, .mix = "SKC", .made = 2, .codes = MAY_SUCCEED | CANCELLED);
    RUN(10, .p = &crossing, .mix = "WKB", .begun = 1, .made = 2, .codes = MAY_SUCCEED | ABORTED);
}

static void a_factory_may_cancel_the_run_that_it_is_asked_by(void **state) {
    (void)state;
    for (uint32_t made = 1; made <= 2; made++) {
        RUN(1, .p = &crossing, .mix = "SK", .made = made, .in_create = true, .codes = CANCELLED);
        RUN(1, .p = &crossing, .mix = "AWK", .made = made, .in_create = true, .codes = CANCELLED);
        RUN(1, .p = &crossing, .mix = "SKG", .made = made, .in_create = true, .is_in_the_way = true,
            .codes = CANCELLED);
    }
}

static void done_may_cancel_what_goes_on(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) {
        RUN(10, .p = plans[i], .mix = "WK", .begun = 2, .in_done = true,
            .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "WC", .begun = 2, .in_done = true,
            .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "AWK", .begun = 1, .in_done = true,
            .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "WK", .begun = 1, .in_done = true, .chains = true,
            .codes = MAY_SUCCEED | CANCELLED);
    }
}

static void a_lent_thread_is_asked_for_all_that_there_is(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "ZK", .begun = 1, .lent = 1);
        RUN(10, .p = plans[i], .mix = "AZK", .lent = 1);
        RUN(10, .p = plans[i], .mix = "ZZK", .begun = 1, .lent = 3);
        RUN(10, .p = plans[i], .mix = "SZK", .lent = 2);
        RUN(10, .p = plans[i], .mix = "ZKC", .begun = 1, .lent = 2,
            .codes = MAY_SUCCEED | CANCELLED);
    }
    RUN(10, .p = &pair, .mix = "ZZK", .begun = 1, .lent = 3);
    RUN(10, .p = &pair, .mix = "SZK", .lent = 2);
}

static void the_thread_for_deadlines_ends_what_is_late(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "LtE", .begun = 1, .helpers = 1, .has_deadline = true,
            .codes = TOO_LATE);
        RUN(10, .p = plans[i], .mix = "LtEC", .begun = 1, .helpers = 1, .has_deadline = true,
            .codes = TOO_LATE | CANCELLED);
        if (at(i, 1))
            RUN(10, .p = plans[i], .mix = "VLtE", .begun = 1, .helpers = 1, .has_deadline = true,
                .codes = TOO_LATE | MAY_SUCCEED);
    }
}

static void done_may_start_the_next_run(void **state) {
    (void)state;
    for (int i = 0; i < N_PLANS; i++) {
        RUN(10, .p = plans[i], .mix = "WK", .begun = 1, .chains = true);
        RUN(10, .p = plans[i], .mix = "WKC", .begun = 1, .chains = true,
            .codes = MAY_SUCCEED | CANCELLED);
        RUN(10, .p = plans[i], .mix = "WWK", .begun = 1, .chains = true);
    }
}

static void a_closed_rendezvous_of_ones_own(void **state) {
    (void)state;
    RUN(10, .p = &alone, .mix = "SP", .made = 1, .codes = MAY_SUCCEED | REFUSED);
    RUN(10, .p = &alone, .mix = "SB", .made = 1, .codes = ABORTED | REFUSED);
    RUN(10, .p = &alone, .mix = "SBC", .made = 1, .codes = ABORTED | REFUSED | CANCELLED);
    RUN(10, .p = &crossing, .mix = "SKB", .made = 1, .codes = MAY_SUCCEED | ABORTED);
    RUN(10, .p = &crossing, .mix = "WKB", .begun = 1, .made = 1, .codes = MAY_SUCCEED | ABORTED);
}

/* test_dfs_ends [PREEMPTIONS]: 2 takes some minutes, 3 some hours. */
int main(int argc, char **argv) {
    if (argc > 1) bound = (int)strtol(argv[1], NULL, 10);
    if (!dfs_is_possible()) return 77;
    if (dfs_is_slow()) { /* every fiber's false stack stays: tens of gigabytes */
        printf("skipped: too many fibers for the address sanitizer\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_caller_that_waits_is_let_go_once),
        cmocka_unit_test(a_run_beside_is_told_once),
        cmocka_unit_test(a_run_goes_on_until_it_is_told),
        cmocka_unit_test(a_deadline_ends_a_run_once),
        cmocka_unit_test(a_run_in_line_is_withdrawn_or_has_its_turn),
        cmocka_unit_test(a_close_waits_for_the_last),
        cmocka_unit_test(the_pools_own_threads_do_the_same),
        cmocka_unit_test(no_event_waits_while_a_thread_sleeps),
        cmocka_unit_test(a_device_is_waited_for),
        cmocka_unit_test(a_kernel_may_cancel_its_own_run),
        cmocka_unit_test(a_rendezvous_of_ones_own_ends_with_its_run),
        cmocka_unit_test(a_closed_rendezvous_of_ones_own),
        cmocka_unit_test(a_factory_may_cancel_the_run_that_it_is_asked_by),
        cmocka_unit_test(a_lent_thread_is_asked_for_all_that_there_is),
        cmocka_unit_test(the_thread_for_deadlines_ends_what_is_late),
        cmocka_unit_test(done_may_start_the_next_run),
        cmocka_unit_test(done_may_cancel_what_goes_on),
    };
    const key_parts parts = {.src = "/job:localhost/task:0/device:CPU:0",
                             .incarnation = 1,
                             .dst = "/job:localhost/task:0/device:CPU:0",
                             .edge = "y:0"};
    if (key_new(NULL, &parts, PLAN, 0, &key, NULL) != DF_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    df_key_free(key);
    return failed;
}
