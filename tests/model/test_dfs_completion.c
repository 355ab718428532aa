/* SPDX-License-Identifier: MIT
 *
 * The end of a step over all interleavings of three actors, on the real source: run.c's
 * blocks and verdict, live.h's count, the swap that ends a Recv or an async kernel.
 *
 * A step of a hand-made plan has been started. A mix is a word, one letter for each actor:
 *
 *   R  the thread that started it, with what that left in its hands
 *   W  a worker: takes events and goes into the step with them, until there are none
 *   K  ends the async kernel, if it has been started; two of them use the same handle
 *   D  the same inside the done of a recv that is no part of the step
 *   P  a queue: plays what was put on it, and reports its end where it is asked to
 *   Q  the same, and a piece of its work fails before
 *
 * What the actors leave undone is done after them, one thing after another. At the end of
 * every schedule the verdict fell once, when everything had run, once, and every queue had
 * reported; and the frame is as it was before the step.
 */
#include "model/in_place.h"
#include "model/played_device.h"
#include "support/scale.h"

#include "exec/step.h"
#include "rendezvous/finish.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <string.h>

#include <cmocka.h>

enum { MAX = 3, MAX_NODES = 4, ARENA = 20 * 1024, PLAN = 7 };
enum { DEVICE_PREEMPTIONS = 3 }; /* its books make many states */

/* A plan and who acts on it. */
typedef struct scene {
    const plan *p;
    const char *mix;
    df_code expected;    /* of the step */
    uint32_t fails;      /* this node's kernel; NO_NODE: none */
    bool may_succeed;    /* all the same: who ends the kernel may be first */
    bool ends_failed;    /* the async kernel does */
    uint32_t barred;     /* this node reads what a failed one makes: never runs; 0: none */
    int max_preemptions; /* 0: any number */
} scene;
#define NO_NODE UINT32_MAX

typedef struct world {
    const scene *scene;
    pool *pool;
    run_group group;
    executor *x;
    step *s;
    memory *host;
    worker caller; /* R's */
    bool has_caller;
    df_kernel_handle handle;
    _Atomic bool is_started; /* the async kernel, and the handle is there */
    played_device queue;
    launch some;     /* on it */
    bool has_failed; /* the queue's piece of work */
    int ran[MAX_NODES];
    int verdicts;
    in_place memory;
    _Alignas(64) unsigned char bytes[ARENA]; /* of the memory */
} world;

static world w;
static df_key *key; /* of channel 0; never changes */

/* As little as does, since it is part of each state. */
static size_t room(void) {
    return w.scene->p->queues ? ARENA : 12 * 1024;
}

static const df_allocator blocks = IN_PLACE_ALLOCATOR(&w.memory);

/* ---- kernels ------------------------------------------------------------- */

static uint32_t block_of(const plan *p, uint32_t node) {
    uint32_t b = 0;
    while (node >= p->blocks[b].first + p->blocks[b].count) b++;
    return b;
}

/* By their places in a block, or because one's end is waited for. */
static bool comes_before(const plan *p, uint32_t first, uint32_t node) {
    const plan_node *f = &p->nodes[first];
    const plan_block *from = &p->blocks[block_of(p, first)];
    bool later = f->flags & PLAN_ENDS_LATER;
    if (from == &p->blocks[block_of(p, node)]) return !later && first < node;
    uint32_t at = later ? f->first_after : from->first_after;
    uint32_t end = at + (later ? f->n_after : from->n_after);
    while (at < end && p->after[at] != block_of(p, node)) at++;
    return at < end;
}

/* A kernel sees what those before it did. */
static df_code run_node(df_kernel *c, df_error *err) {
    const plan *p = w.scene->p;
    uint32_t node = c->io->index;
    for (uint32_t i = 0; i < p->n_nodes; i++)
        if (p->nodes[i].kernel && comes_before(p, i, node) && w.ran[i] != 1)
            dfs_fail("node %u ran before node %u", node, i);
    w.ran[node]++;
    if (node && node == w.scene->barred) dfs_fail("a node ran on what a failed one made");
    if (node != w.scene->fails) return DF_OK;
    return error_set(err, DF_ABORTED, "as planned");
}

static df_code start_node(df_kernel *c, df_error *err) {
    df_code code = run_node(c, err);
    w.handle = df_kernel_handle_of(c);
    atomic_put(&w.is_started, true, RELEASE);
    DF_SCHED_POINT();
    return code;
}

static const op_def op = {.name = "Op"};
static const kernel_def kernel = {.op = &op, .kinds = "CPU", .compute = run_node};
static const kernel_def async_kernel = {
    .op = &op, .kinds = "CPU", .compute = start_node, .flags = KERNEL_ASYNC};

/* ---- devices: a CPU, and one whose queue is the P or Q of the mix -------- */

static df_device cpu;
static df_device *devices[] = {&cpu, NULL};
static const plan_device plan_devices[] = {{.full_name = "cpu", .kind = "CPU"},
                                           {.full_name = "sim", .kind = "SIM"}};

/* ---- plans --------------------------------------------------------------- */

#define KERNEL_NODE(NAME)                                                                          \
    {                                                                                              \
        .name = NAME, .op = &op, .kernel = &kernel, .role = ROLE_KERNEL,                           \
        .flags = PLAN_KNOWN_SHAPES, .index = PLAN_NONE, .variable = PLAN_NONE                      \
    }
#define ASYNC_NODE(NAME, FIRST, COUNT)                                                             \
    {                                                                                              \
        .name = NAME, .op = &op, .kernel = &async_kernel, .role = ROLE_ASYNC,                      \
        .flags = PLAN_KNOWN_SHAPES | PLAN_ENDS_LATER, .index = PLAN_NONE, .variable = PLAN_NONE,   \
        .first_after = FIRST, .n_after = COUNT                                                     \
    }
#define QUEUED_NODE(NAME, KERNEL, FIRST, COUNT)                                                    \
    {                                                                                              \
        .name = NAME, .op = &op, .kernel = &KERNEL, .role = ROLE_QUEUE_LATER, .device = 1,         \
        .flags = PLAN_KNOWN_SHAPES | PLAN_ENDS_LATER, .index = PLAN_NONE, .variable = PLAN_NONE,   \
        .first_after = FIRST, .n_after = COUNT                                                     \
    }
#define CHANNEL_NODE(NAME, ROLE, FLAGS, OUTPUTS, FIRST, COUNT)                                     \
    {                                                                                              \
        .name = NAME, .op = &op, .role = ROLE, .flags = PLAN_KNOWN_SHAPES | (FLAGS),               \
        .n_outputs = OUTPUTS, .variable = PLAN_NONE, .first_after = FIRST, .n_after = COUNT        \
    }
#define COUNT_OF(ARRAY) (sizeof(ARRAY) / sizeof *(ARRAY))
#define A_PLAN(NODES, BLOCKS, AFTER)                                                               \
    .id = PLAN, .devices = plan_devices, .n_devices = 2, .nodes = NODES,                           \
    .n_nodes = COUNT_OF(NODES), .blocks = BLOCKS, .n_blocks = COUNT_OF(BLOCKS) - 1,                \
    .after = AFTER, .n_after = COUNT_OF(AFTER)

/* a; then b and c, whoever takes them; then d. */
static plan_node fork_nodes[] = {KERNEL_NODE("a"), KERNEL_NODE("b"), KERNEL_NODE("c"),
                                 KERNEL_NODE("d")};
static plan_block fork_blocks[] = {
    {0, 1, 0, 0, 2}, {1, 1, 1, 2, 1}, {2, 1, 1, 3, 1}, {3, 1, 2, 4, 1}, {.pending = 1}};
static uint32_t fork_after[] = {1, 2, 3, 3, 4};
static const plan fork_plan = {A_PLAN(fork_nodes, fork_blocks, fork_after)};

/* An async kernel is started; beside it b; then c. */
static plan_node async_nodes[] = {ASYNC_NODE("a", 0, 1), KERNEL_NODE("b"), KERNEL_NODE("c")};
static plan_block async_blocks[] = {{0, 2, 0, 1, 1}, {2, 1, 2, 2, 1}, {.pending = 1}};
static uint32_t async_after[] = {1, 1, 2};
static const plan async_plan = {A_PLAN(async_nodes, async_blocks, async_after)};

/* An async kernel, and c, which reads what it makes; b has nothing to do with either. */
static plan_node apart_nodes[] = {ASYNC_NODE("a", 0, 1), KERNEL_NODE("b"), KERNEL_NODE("c")};
static plan_block apart_blocks[] = {
    {0, 1, 0, 1, 1}, {1, 1, 0, 1, 1}, {2, 1, 1, 1, 1}, {.pending = 3}};
static uint32_t apart_after[] = {2, 3};
static const plan apart_plan = {A_PLAN(apart_nodes, apart_blocks, apart_after)};

/* A Recv in one block, its Send in another: the Recv may come first, and its block then
 * waits for it in the middle. */
static plan_channel channels[1] = {
    {.src_memory = DF_MEMORY_HOST, .dst_memory = DF_MEMORY_HOST, .control = true, .producer = "s"}};
static plan_slot slots[1] = {{.type = &(edge_type){.dtype = DF_BOOL, .rank = 1}}};

static plan_node park_nodes[] = {CHANNEL_NODE("r", ROLE_RECV, 0, 1, 0, 0), KERNEL_NODE("b"),
                                 CHANNEL_NODE("s", ROLE_SEND, 0, 0, 0, 0)};
static plan_block park_blocks[] = {{0, 2, 0, 0, 1}, {2, 1, 0, 1, 1}, {.pending = 2}};
static uint32_t park_after[] = {2, 2};
static const plan park_plan = {A_PLAN(park_nodes, park_blocks, park_after), .slots = slots,
                               .n_slots = 1, .channels = channels, .n_channels = 1};

/* The same, with a Recv whose end is an event. */
static plan_node later_nodes[] = {CHANNEL_NODE("r", ROLE_RECV, PLAN_ENDS_LATER, 1, 0, 1),
                                  CHANNEL_NODE("s", ROLE_SEND, 0, 0, 0, 0), KERNEL_NODE("c")};
static plan_block later_blocks[] = {
    {0, 1, 0, 1, 1}, {1, 1, 0, 2, 1}, {2, 1, 1, 3, 1}, {.pending = 3}};
static uint32_t later_after[] = {2, 3, 3, 3};
static const plan later_plan = {A_PLAN(later_nodes, later_blocks, later_after), .slots = slots,
                                .n_slots = 1, .channels = channels, .n_channels = 1};

/* A Recv without a Send: beside a kernel, and alone beside a queue. */
static plan_node starved_nodes[] = {CHANNEL_NODE("r", ROLE_RECV, 0, 1, 0, 0), KERNEL_NODE("b")};
static plan_block starved_blocks[] = {{0, 1, 0, 0, 1}, {1, 1, 0, 1, 1}, {.pending = 2}};
static uint32_t starved_after[] = {2, 2};
static const plan starved_plan = {A_PLAN(starved_nodes, starved_blocks, starved_after),
                                  .slots = slots, .n_slots = 1, .channels = channels,
                                  .n_channels = 1};

/* A Recv without a Send beside an async kernel. */
static plan_node beside_nodes[] = {CHANNEL_NODE("r", ROLE_RECV, 0, 1, 0, 0), ASYNC_NODE("a", 0, 1)};
static plan_block beside_blocks[] = {{0, 1, 0, 0, 1}, {1, 1, 0, 0, 1}, {.pending = 3}};
static uint32_t beside_after[] = {2};
static const plan beside_plan = {A_PLAN(beside_nodes, beside_blocks, beside_after), .slots = slots,
                                 .n_slots = 1, .channels = channels, .n_channels = 1};

static plan_node alone_nodes[] = {CHANNEL_NODE("r", ROLE_RECV, 0, 1, 0, 0)};
static plan_block alone_blocks[] = {{0, 1, 0, 0, 1}, {.pending = 1}};
static uint32_t alone_after[] = {1};
static const plan alone_plan = {A_PLAN(alone_nodes, alone_blocks, alone_after),
                                .slots = slots,
                                .n_slots = 1,
                                .channels = channels,
                                .n_channels = 1,
                                .queues = 2};

/* Two kernels, and a queue whose end has to be waited for. */
static plan_node queue_nodes[] = {KERNEL_NODE("a"), KERNEL_NODE("b")};
static plan_block queue_blocks[] = {{0, 1, 0, 0, 1}, {1, 1, 0, 1, 1}, {.pending = 2}};
static uint32_t queue_after[] = {2, 2};
static const plan queue_plan = {A_PLAN(queue_nodes, queue_blocks, queue_after), .queues = 2};

/* A kernel on the queue whose end is an event, by itself or by its handle; beside it b; then c. */
static plan_node itself_nodes[] = {QUEUED_NODE("a", kernel, 0, 1), KERNEL_NODE("b"),
                                   KERNEL_NODE("c")};
static plan_node handle_nodes[] = {QUEUED_NODE("a", async_kernel, 0, 1), KERNEL_NODE("b"),
                                   KERNEL_NODE("c")};
static const plan itself_plan = {A_PLAN(itself_nodes, async_blocks, async_after), .queues = 2};
static const plan handle_plan = {A_PLAN(handle_nodes, async_blocks, async_after), .queues = 2};

/* ---- what an actor does -------------------------------------------------- */

static bool is_done(const scene *sc) {
    for (uint32_t i = 0; i < sc->p->n_nodes; i++)
        if (sc->p->nodes[i].kernel && w.ran[i] != 1) return false;
    return true;
}

static void note_verdict(void) {
    const scene *sc = w.scene;
    w.verdicts++;
    if (w.verdicts > 1) dfs_fail("the verdict fell twice");
    if (!w.s->has_error && !is_done(sc)) dfs_fail("the verdict fell before all had run");
    if (w.queue.n_queued || w.queue.n_recorded != (sc->p->queues != 0))
        dfs_fail("the verdict fell before the queue had reported, or it was asked twice");
    if (live_is_passive(atomic_get(&w.s->live.word, RELAXED)) == false)
        dfs_fail("the verdict fell while somebody was in the step");
}

static void act_as_caller(void) {
    if (!w.has_caller) return;
    w.has_caller = false;
    if (run_step(&w.caller)) note_verdict();
}

/* As pool.c's. False: there was no event. */
static bool help_once(void) {
    event *e = pool_take(w.pool, w.s, false);
    if (!e) return false;
    live_engage(&w.s->live);
    worker mine = {.step = w.s};
    run_push(&mine, e);
    if (run_step(&mine)) note_verdict();
    return true;
}

static void end_kernel(void) {
    const df_error why = {.code = DF_ABORTED, .message = "it ends so"};
    if (atomic_get(&w.is_started, ACQUIRE))
        df_kernel_done(w.handle, w.scene->ends_failed ? &why : NULL);
}

static void end_kernel_in_done(df_recv *r, const df_error *err, df_tensor *tensor) {
    (void)r;
    (void)err;
    (void)tensor;
    end_kernel();
}

/* What the end of the kernel finishes stands in this actor's line until done has returned. */
static void act_as_done(void) {
    df_recv r = {.done = end_kernel_in_done};
    finish_arrived(&r, NULL);
}

static void act_as_queue(bool fails) {
    const df_error why = {.code = DF_DATA_LOSS, .message = "in the queue"};
    if (fails && !w.has_failed) {
        w.has_failed = true;
        df_work_fail(&w.s->work, &why);
    }
    do DF_SCHED_POINT();
    while (played_one(&w.queue));
}

static void act(void *arg, int i) {
    (void)arg;
    switch (w.scene->mix[i]) {
    case 'R':
        act_as_caller();
        break;
    case 'K':
        end_kernel();
        break;
    case 'D':
        act_as_done();
        break;
    case 'P':
    case 'Q':
        act_as_queue(w.scene->mix[i] == 'Q');
        break;
    default:
        while (help_once()) {
        }
        break;
    }
}

/* ---- before and after ---------------------------------------------------- */

/* As begin.c's run. */
static void begin(step *s) {
    w.caller = (worker){.step = s};
    s->meets = s->rendezvous;
    s->is_closed = true;
    s->cut = &s->x->sharing.plain;
    live_start(&s->live);
    run_begin(&w.caller);
    w.has_caller = true;
}

static const touches nothing = {.any = false};

static df_code compute_nothing(launch *l, df_error *err) {
    (void)l;
    (void)err;
    return DF_OK;
}

/* Something of the step's has been put on the queue before. */
static void put_some(world *x) {
    x->some = (launch){.run = compute_nothing};
    if (queue_launch(x->queue.d->queue, &x->s->work, &x->some, NULL) != DF_OK)
        dfs_fail("the queue takes nothing");
}

static void build(void *arg) {
    world *x = arg;
    const scene *sc = x->scene;
    memset(x, 0, sizeof *x);
    x->scene = sc;
    x->memory = (in_place){.bytes = x->bytes, .size = room()};
    channels[0].key = key;
    x->host = memory_new_host(&blocks);
    if (sc->p->queues) played_device_open(&x->queue, &blocks, x->host);
    devices[1] = x->queue.d ? x->queue.d : &cpu;
    executor_options o = {.plan = sc->p,
                          .devices = devices,
                          .host = x->host,
                          .alloc = &blocks,
                          .group = &x->group,
                          .touches = &nothing};
    if (pool_new(&blocks, NULL, 0, NULL, &x->pool, NULL) != DF_OK) dfs_fail("no pool");
    if (!run_group_init(&x->group)) dfs_fail("no group");
    o.pool = x->pool;
    if (executor_new(&o, &x->x, NULL) != DF_OK) dfs_fail("no executor");
    x->s = x->x->spares;
    x->s->shared = true;
    if (sc->p->queues) put_some(x);
    begin(x->s);
}

/* What is left, one thing after another, until nothing happens any more. */
static void finish(void) {
    act_as_caller();
    for (bool moves = true; moves && w.verdicts == 0;) {
        moves = help_once();
        moves |= played_one(&w.queue);
        if (!moves && atomic_get(&w.is_started, RELAXED)) { /* again, perhaps: that is harmless */
            end_kernel();
            moves = help_once();
        }
    }
}

static void check_step(void *arg) {
    world *x = arg;
    const scene *sc = x->scene;
    step *s = x->s;
    finish();
    if (x->verdicts != 1) dfs_fail("%d verdicts", x->verdicts);
    df_code code = s->has_error ? s->error.code : DF_OK;
    bool by_queue = x->has_failed && code == DF_DATA_LOSS;
    bool by_luck = sc->may_succeed && code == DF_OK;
    if (code != sc->expected && !by_queue && !by_luck) dfs_fail("the step ended with %d", code);
    if (atomic_get(&s->live.word, RELAXED) != 0) dfs_fail("the count did not come back to 0");
    if (pool_take(x->pool, s, false)) dfs_fail("an event is left");
    step_settle(s);
    step_renew(s);
    executor_free(x->x);
    run_group_fini(&x->group);
    pool_free(x->pool);
    device_close(x->queue.d);
    memory_unref(x->host);
    if (x->memory.live) dfs_fail("%zu blocks are left", x->memory.live);
}

static uint64_t run_scene(const scene *sc) {
    bool is_slow = dfs_is_slow() || test_scaled(10) == 1;
    int bound = sc->p->queues && !sc->max_preemptions ? DEVICE_PREEMPTIONS : sc->max_preemptions;
    if (is_slow) bound = 2;
    if (dfs_is_weak() && sc->p->queues) return UINT64_MAX; /* the played device has no orders */
    w.scene = sc;
    const df_schedules all = {.actors = (int)strlen(sc->mix),
                              .world = &w,
                              .setup = build,
                              .actor = act,
                              .check = check_step,
                              .world_size =
                                  bound && !dfs_is_weak() ? 0 : offsetof(world, bytes) + room(),
                              .max_preemptions = bound,
                              .swap = finish_swap};
    df_schedules_report report;
    uint64_t n = dfs_run(all, &report);
    if (report.failed) fail_msg("mix %s: %s\n%s", sc->mix, report.what, report.schedule);
    printf("%s: %llu schedules, %llu states\n", sc->mix, (unsigned long long)n,
           (unsigned long long)report.states);
    return n;
}

/* ---- scenes -------------------------------------------------------------- */

static void blocks_are_run_once_and_the_last_to_leave_ends_the_step(void **state) {
    (void)state;
    const scene sc = {.p = &fork_plan, .mix = "RWW", .fails = NO_NODE};
    assert_true(run_scene(&sc) > 100);
}

static void a_kernel_that_fails_ends_the_step_once(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const scene sc = {.p = &fork_plan, .mix = "RWW", .fails = i, .expected = DF_ABORTED};
        assert_true(run_scene(&sc) > 10);
    }
}

static void an_async_kernel_ends_its_node_once(void **state) {
    (void)state;
    const scene one = {.p = &async_plan, .mix = "RWK", .fails = NO_NODE};
    const scene two = {.p = &async_plan, .mix = "RKK", .fails = NO_NODE};
    assert_true(run_scene(&one) > 100);
    assert_true(run_scene(&two) > 100);
}

static void an_async_kernel_may_fail_as_it_starts_or_beside_another(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        const scene sc = {.p = &async_plan,
                          .mix = "RWK",
                          .fails = i,
                          .expected = DF_ABORTED,
                          .may_succeed = i == 0};
        assert_true(run_scene(&sc) > 10);
    }
}

static void a_node_never_runs_on_what_a_failed_kernel_made(void **state) {
    (void)state;
    const scene sc = {.p = &apart_plan,
                      .mix = "RWK",
                      .fails = 1,
                      .expected = DF_ABORTED,
                      .ends_failed = true,
                      .barred = 2};
    assert_true(run_scene(&sc) > 100);
}

static void a_step_waits_for_a_recv_that_stands_in_line(void **state) {
    (void)state;
    const scene sc = {.p = &beside_plan,
                      .mix = "RWD",
                      .fails = NO_NODE,
                      .expected = DF_ABORTED,
                      .ends_failed = true,
                      .max_preemptions = 2};
    assert_true(run_scene(&sc) > 100);
}

static void a_recv_before_its_send_lets_its_block_go_on_later(void **state) {
    (void)state;
    const plan *plans[] = {&park_plan, &later_plan};
    for (int i = 0; i < 2; i++) {
        const scene two = {.p = plans[i], .mix = "RW", .fails = NO_NODE};
        const scene three = {.p = plans[i], .mix = "RWW", .fails = NO_NODE, .max_preemptions = 2};
        assert_true(run_scene(&two) > 100);
        assert_true(run_scene(&three) > 100);
    }
}

static void a_step_that_nothing_can_move_is_starved_once(void **state) {
    (void)state;
    const scene sc = {
        .p = &starved_plan, .mix = "RWW", .fails = NO_NODE, .expected = DF_FAILED_PRECONDITION};
    assert_true(run_scene(&sc) > 10);
}

static void a_queue_that_fails_is_waited_for(void **state) {
    (void)state;
    const scene sc = {.p = &queue_plan,
                      .mix = "RWQ",
                      .fails = NO_NODE,
                      .expected = DF_DATA_LOSS,
                      .max_preemptions = 2};
    assert_true(run_scene(&sc) > 100);
}

static void a_step_may_starve_while_its_queue_fails(void **state) {
    (void)state;
    const scene sc = {.p = &alone_plan,
                      .mix = "RWQ",
                      .fails = NO_NODE,
                      .expected = DF_FAILED_PRECONDITION,
                      .max_preemptions = 2};
    assert_true(run_scene(&sc) > 100);
}

static void a_kernel_on_a_queue_ends_its_node_by_itself(void **state) {
    (void)state;
    const scene sc = {.p = &itself_plan, .mix = "RWP", .fails = NO_NODE};
    const scene failing = {
        .p = &itself_plan, .mix = "RWP", .fails = 0, .expected = DF_ABORTED, .barred = 2};
    assert_true(run_scene(&sc) > 100);
    assert_true(run_scene(&failing) > 100);
}

static void an_async_kernel_on_a_queue_ends_its_node_once(void **state) {
    (void)state;
    const scene sc = {.p = &handle_plan, .mix = "RPK", .fails = NO_NODE};
    const scene failing = {
        .p = &handle_plan, .mix = "RPK", .fails = 0, .expected = DF_ABORTED, .may_succeed = true};
    assert_true(run_scene(&sc) > 100);
    assert_true(run_scene(&failing) > 100);
}

/* What was not yet started never will be, and the step ends all the same. */
static void a_step_that_fails_does_not_wait_for_a_kernel_that_never_starts(void **state) {
    (void)state;
    const plan *plans[] = {&itself_plan, &handle_plan};
    for (int i = 0; i < 2; i++) {
        const scene by_queue = {
            .p = plans[i], .mix = i ? "RQK" : "RWQ", .fails = NO_NODE, .expected = DF_DATA_LOSS};
        const scene by_kernel = {
            .p = plans[i], .mix = i ? "RPK" : "RWP", .fails = 1, .expected = DF_ABORTED};
        assert_true(run_scene(&by_queue) > 100);
        assert_true(run_scene(&by_kernel) > 100);
    }
}

static int make_key(void **state) {
    (void)state;
    const key_parts parts = {.src = "/job:localhost/task:0/device:CPU:0",
                             .incarnation = 1,
                             .dst = "/job:localhost/task:0/device:CPU:0",
                             .edge = "y:0"};
    return key_new(NULL, &parts, PLAN, 0, &key, NULL) == DF_OK ? 0 : -1;
}

static int free_key(void **state) {
    (void)state;
    df_key_free(key);
    return 0;
}

static int every_test(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_run_once_and_the_last_to_leave_ends_the_step),
        cmocka_unit_test(a_kernel_that_fails_ends_the_step_once),
        cmocka_unit_test(an_async_kernel_ends_its_node_once),
        cmocka_unit_test(an_async_kernel_may_fail_as_it_starts_or_beside_another),
        cmocka_unit_test(a_node_never_runs_on_what_a_failed_kernel_made),
        cmocka_unit_test(a_step_waits_for_a_recv_that_stands_in_line),
        cmocka_unit_test(a_recv_before_its_send_lets_its_block_go_on_later),
        cmocka_unit_test(a_step_that_nothing_can_move_is_starved_once),
        cmocka_unit_test(a_queue_that_fails_is_waited_for),
        cmocka_unit_test(a_step_may_starve_while_its_queue_fails),
        cmocka_unit_test(a_kernel_on_a_queue_ends_its_node_by_itself),
        cmocka_unit_test(an_async_kernel_on_a_queue_ends_its_node_once),
        cmocka_unit_test(a_step_that_fails_does_not_wait_for_a_kernel_that_never_starts),
    };
    return cmocka_run_group_tests(tests, make_key, free_key);
}

int main(void) {
    return dfs_main(every_test);
}
