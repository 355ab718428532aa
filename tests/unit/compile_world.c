/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/compile_world.h"

#include "session/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- its life ------------------------------------------------------------ */

static df_code compute_nothing(df_kernel *c, df_error *err) {
    (void)c;
    (void)err;
    return DF_UNIMPLEMENTED; /* nothing runs here */
}

static const df_op_def own_ops[] = {
    {.struct_size = sizeof(df_op_def), .signature = "Later(x: any) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "OnCpu(x: any) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "Words(x: string) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "Ints(x: any) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "Near(x: any) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "Many(x: any...) : x", .infer = df_infer_same},
    {.struct_size = sizeof(df_op_def), .signature = "Free(x: any) : x"},
    {.struct_size = sizeof(df_op_def), .signature = "Sink(x: any)"},
};
static const df_kernel_def own_kernels[] = {
    {.struct_size = sizeof(df_kernel_def),
     .op = "Later",
     .devices = "CPU,SIM",
     .compute = compute_nothing,
     .flags = DF_KERNEL_ASYNC},
    {.struct_size = sizeof(df_kernel_def),
     .op = "OnCpu",
     .devices = "CPU",
     .compute = compute_nothing},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Words",
     .devices = "CPU,SIM",
     .compute = compute_nothing,
     .host_inputs = 1,
     .host_outputs = 1},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Ints",
     .devices = "CPU",
     .dtypes = "int32",
     .compute = compute_nothing},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Near",
     .devices = "CPU,SIM",
     .compute = compute_nothing,
     .host_inputs = 1,
     .may_overwrite = 1},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Many",
     .devices = "CPU",
     .compute = compute_nothing,
     .flags = DF_KERNEL_CHEAP,
     .may_overwrite = UINT32_MAX},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Free",
     .devices = "CPU,SIM",
     .compute = compute_nothing},
    {.struct_size = sizeof(df_kernel_def),
     .op = "Sink",
     .devices = "CPU,SIM",
     .compute = compute_nothing},
};
enum { OWN_OPS = sizeof own_ops / sizeof *own_ops };
_Static_assert(sizeof own_kernels / sizeof *own_kernels == OWN_OPS, "a kernel for each");

static void open_runtime(compile_world *w, const char *devices) {
    const df_runtime_options o = {.struct_size = sizeof o,
                                  .devices = devices,
                                  .incarnation = 1,
                                  .allocator = &w->heap.allocator};
    if (df_runtime_new(&o, &w->rt, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    for (int i = 0; i < OWN_OPS; i++) {
        assert_int_equal(df_op_register(w->rt, &own_ops[i], NULL), DF_OK);
        assert_int_equal(df_kernel_register(w->rt, &own_kernels[i], NULL), DF_OK);
    }
    w->g = df_graph_new(w->rt);
    assert_non_null(w->g);
    w->rq = (compile_request){.graph = w->g,
                              .alloc = w->rt->alloc,
                              .devices = w->rt->plan_devices,
                              .n_devices = w->rt->n_devices,
                              .client = w->rt->client,
                              .parallelism = 1,
                              .plan_id = 1};
}

/* As compile_program does when a pass has failed. */
static void release(compile_world *w) {
    if (!w->compiled) return;
    (void)compile_end(&w->c);
    w->compiled = false;
}

static void close_runtime(compile_world *w) {
    release(w);
    df_graph_free(w->g);
    df_runtime_free(w->rt);
}

int world_open(void **state) {
    compile_world *w = calloc(1, sizeof *w);
    if (!w) return -1;
    fault_allocator_init(&w->heap);
    open_runtime(w, "cpu:2,sim:2");
    *state = w;
    return 0;
}

int world_close(void **state) {
    compile_world *w = *state;
    close_runtime(w);
    fault_allocator_end(&w->heap);
    free(w);
    return 0;
}

void world_reopen(compile_world *w, const char *devices) {
    close_runtime(w);
    open_runtime(w, devices);
}

/* ---- passes -------------------------------------------------------------- */

bool world_try(compile_world *w, world_pass last, df_outs feeds, df_outs fetches) {
    static bool (*const passes[])(compile_state *) = {
        compile_prune,     compile_infer, compile_order, compile_place,
        compile_partition, compile_lower, compile_verify};
    release(w);
    w->err = (df_error){.code = DF_OK};
    if (df_graph_error(w->g, &w->err) != DF_OK) return false;
    graph_freeze(w->g);
    w->rq.feeds = feeds;
    w->rq.fetches = fetches;
    compile_begin(&w->c, &w->rq, &w->err);
    w->compiled = true;
    bool ok = true;
    for (int i = 0; ok && i <= (int)last; i++) ok = passes[i](&w->c);
    w->err = *w->c.err;
    assert_int_equal(ok, w->err.code == DF_OK); /* an error is set exactly when one failed */
    return ok;
}

bool world_verify(compile_world *w) {
    *w->c.err = (df_error){.code = DF_OK};
    bool ok = compile_verify(&w->c);
    w->err = *w->c.err;
    return ok;
}

void world_passes(compile_world *w, world_pass last, df_outs feeds, df_outs fetches) {
    if (!world_try(w, last, feeds, fetches)) fail_msg("%s", w->err.message);
}

static void assert_parts(const char *message, const char *parts) {
    for (char part[200]; *parts;) {
        size_t n = strcspn(parts, "|");
        assert_true(n < sizeof part);
        memcpy(part, parts, n);
        part[n] = '\0';
        if (!strstr(message, part)) fail_msg("\"%s\" is not in: %s", part, message);
        parts += n + (parts[n] == '|');
    }
}

void world_refuses(compile_world *w, world_pass last, df_outs feeds, df_outs fetches, df_code code,
                   const char *parts) {
    if (world_try(w, last, feeds, fetches)) fail_msg("accepted; expected: %s", parts);
    assert_string_equal(df_code_name(w->err.code), df_code_name(code));
    assert_parts(w->err.message, parts);
}

void graph_refuses(const df_graph *g, df_code code, const char *parts) {
    df_error err = {.code = DF_OK};
    if (df_graph_error(g, &err) == DF_OK) fail_msg("accepted; expected: %s", parts);
    assert_string_equal(df_code_name(err.code), df_code_name(code));
    assert_parts(err.message, parts);
}

/* ---- building ------------------------------------------------------------ */

df_out world_input(compile_world *w, const char *name) {
    return df_placeholder(w->g, name, DF_FLOAT32, DF_SHAPE(4));
}

df_out world_large_input(compile_world *w, const char *name) {
    return df_placeholder(w->g, name, DF_FLOAT32, DF_SHAPE(20000));
}

df_node *world_node(compile_world *w, const char *name) {
    df_graph_name(w->g, name);
    return df_no_op(w->g);
}

df_node *world_op(compile_world *w, const char *op, df_outs inputs) {
    return df_node_add(w->g, op, inputs.items, inputs.n, NULL, 0);
}

df_out world_later(compile_world *w, df_out x) {
    return df_node_output(world_op(w, "Later", DF_OUTS(x)), 0);
}

df_out world_on_cpu(compile_world *w, df_out x) {
    return df_node_output(world_op(w, "OnCpu", DF_OUTS(x)), 0);
}

/* ---- text ---------------------------------------------------------------- */

static void start(compile_world *w) {
    w->text[0] = '\0';
}

static void add(compile_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(compile_world *w, const char *format, ...) {
    size_t used = strlen(w->text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(w->text + used, sizeof w->text - used, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < sizeof w->text - used);
}

static void add_item(compile_world *w, const item *it) {
    static const char *const kinds[] = {
        [ITEM_NODE] = "", [ITEM_FEED] = "feed ", [ITEM_FETCH] = "fetch ", [ITEM_READ] = "read "};
    add(w, "%s%s", kinds[it->kind], it->node->name);
}

static const char *gap(const compile_world *w) {
    return w->text[0] ? "; " : "";
}

const char *world_items(compile_world *w) {
    start(w);
    for (uint32_t i = 0; i < w->c.n_items; i++) {
        add(w, "%s", gap(w));
        add_item(w, &w->c.items[i]);
    }
    return w->text;
}

const char *world_ordered(compile_world *w) {
    start(w);
    for (uint32_t i = 0; i < w->c.n_ordered; i++) {
        add(w, "%s", gap(w));
        add_item(w, &w->c.items[w->c.ordered[i].before]);
        add(w, " < ");
        add_item(w, &w->c.items[w->c.ordered[i].after]);
    }
    return w->text;
}

const char *world_places(compile_world *w) {
    start(w);
    for (uint32_t i = 0; i < w->c.n_items; i++) {
        const item *it = &w->c.items[i];
        const plan_device *d = &w->rq.devices[it->device];
        char name[DEVICE_NAME_MAX];
        (void)device_name_print_short(&d->name, &w->rq.devices[0].name, name, sizeof name);
        add(w, "%s", gap(w));
        add_item(w, it);
        add(w, " %s", name);
    }
    return w->text;
}

const char *world_emitted(compile_world *w) {
    start(w);
    for (uint32_t i = 0; i < w->c.n_emitted; i++)
        add(w, "%s%s", gap(w), emitted_name(&w->c, &w->c.emitted[i], &w->c.mem));
    return w->text;
}

const item *world_item(const compile_world *w, const df_node *node) {
    int32_t i = w->c.item_of[node->id];
    return i == PLAN_NONE ? NULL : &w->c.items[i];
}

const char *world_type(compile_world *w, const df_node *node, int index) {
    const edge_type *type = &w->c.types[w->c.item_of[node->id]][index];
    char shape[SHAPE_TEXT_MAX];
    start(w);
    (void)shape_print(edge_shape(type), shape, sizeof shape);
    add(w, "%s%s", df_dtype_name(type->dtype), shape);
    return w->text;
}

/* ---- random graphs ------------------------------------------------------- */

uint64_t world_draw(uint64_t *seed) {
    uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

enum { RANDOM_MOST = 512 };

/* One shape everywhere, so that anything may go anywhere: small, middling or large. */
typedef struct drawing {
    compile_world *w;
    uint64_t seed;
    df_out floats[RANDOM_MOST];
    int n_floats;
    df_node *nodes[RANDOM_MOST];
    int n_nodes;
    df_out variables[2];
} drawing;

static uint64_t below(drawing *d, uint64_t n) {
    return world_draw(&d->seed) % n;
}

static df_out any_float(drawing *d) {
    return d->floats[below(d, (uint64_t)d->n_floats)];
}

enum { DRAW_KINDS = 10, DRAW_READ = 0, DRAW_WRITE = 1 };

static df_out random_output(drawing *d, uint64_t kind) {
    df_graph *g = d->w->g;
    df_out x = any_float(d), v = d->variables[below(d, 2)];
    switch (kind) {
    case DRAW_READ:
        return df_read(g, v);
    case DRAW_WRITE:
        return df_assign_add(g, v, x);
    case 2:
        return df_neg(g, x);
    case 3:
    case 4:
        return df_add(g, x, any_float(d));
    case 5:
        return world_later(d->w, x);
    case 6:
        return df_reshape_to(g, x, df_shape_of(g, any_float(d)));
    case 7:
        return df_mul(g, x, df_const_float(g, DF_FLOAT32, 2));
    case 8:
        return df_identity(g, x);
    default:
        return (df_out){df_no_op(g), 0};
    }
}

static void draw_node(drawing *d) {
    static const char *const devices[] = {NULL, "cpu:0", "cpu:1", "sim:0", "sim:1"};
    df_graph *g = d->w->g;
    uint64_t kind = below(d, DRAW_KINDS);
    /* where a variable is named, its own device decides */
    df_graph_on(g, kind == DRAW_READ || kind == DRAW_WRITE ? NULL : devices[below(d, 5)]);
    size_t before = df_graph_nodes(g);
    df_out out = random_output(d, kind);
    for (size_t i = before; i < df_graph_nodes(g); i++)
        if (d->n_nodes && below(d, 4) == 0)
            df_control(g, d->nodes[below(d, (uint64_t)d->n_nodes)], df_graph_node(g, i));
    if (df_node_outputs(out.node)) d->floats[d->n_floats++] = out;
    d->nodes[d->n_nodes++] = out.node;
}

random_graph world_random(compile_world *w, uint64_t seed, int n_nodes) {
    assert_true(n_nodes + 4 < RANDOM_MOST);
    drawing d = {.w = w, .seed = seed};
    random_graph r;
    df_shape shape = (const df_shape[]){DF_SHAPE(4), DF_SHAPE(32), DF_SHAPE(20000)}[seed % 3];
    static const char *const names[] = {"x0", "x1"}, *const of_variables[] = {"v0", "v1"};
    static const char *const homes[] = {"cpu:1", "sim:0"};
    for (int i = 0; i < 2; i++) {
        r.feeds[i] = d.floats[d.n_floats++] = df_placeholder(w->g, names[i], DF_FLOAT32, shape);
        df_graph_on(w->g, homes[i]);
        d.variables[i] = d.floats[d.n_floats++] =
            df_variable(w->g, of_variables[i], DF_FLOAT32, shape);
        df_graph_on(w->g, NULL);
    }
    for (int i = 0; i < n_nodes; i++) draw_node(&d);
    for (int i = 0; i < 4; i++) r.fetches[i] = any_float(&d);
    r.target = d.nodes[d.n_nodes - 1];
    if (df_graph_error(w->g, &w->err) != DF_OK) fail_msg("%s", w->err.message);
    return r;
}
