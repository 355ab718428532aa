/* SPDX-License-Identifier: MIT
 *
 * The text of the kernels as a device without double precision compiles it: a true driver, told
 * that it has none. Skipped where the system has no OpenCL.
 */
#include "device/opencl/opencl.h"

#include "device/opencl/launch.h"
#include "kernels/cuda/args.h"
#include "kernels/loops.h"
#include "kernels/opencl/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { N = 6 };

typedef struct world {
    void *device, *queue, *event;
    float *x, *y;
    df_error err;
} world;

static void ok(const world *w, df_code code) {
    if (code != DF_OK) fail_msg("%s", w->err.message);
}

static int open_world(void **state) {
    static world w;
    df_device_traits traits = {.struct_size = sizeof traits};
    const df_device_request request = {.struct_size = sizeof request, .name = "OPENCL:0"};
    void *x = NULL, *y = NULL;
    w = (world){.err = {.code = DF_OK}};
    *state = &w;
    df_code rc = opencl_ops.open(NULL, &request, &w.device, &traits, &w.err);
    if (rc == DF_NOT_FOUND) return 0;
    ok(&w, rc);
    ok(&w, opencl_ops.queue_new(w.device, DF_QUEUE_COMPUTE, &w.queue, &w.err));
    ok(&w, opencl_ops.event_new(w.device, &w.event, &w.err));
    ok(&w, opencl_ops.alloc(w.device, N * sizeof(float), &x, &w.err));
    ok(&w, opencl_ops.alloc(w.device, N * sizeof(float), &y, &w.err));
    w.x = x;
    w.y = y;
    return 0;
}

static int close_world(void **state) {
    world *w = *state;
    if (!w->device) return 0;
    opencl_ops.free(w->device, w->x, N * sizeof(float));
    opencl_ops.free(w->device, w->y, N * sizeof(float));
    opencl_ops.event_free(w->device, w->event);
    opencl_ops.queue_free(w->queue);
    opencl_ops.close(w->device);
    return 0;
}

static df_code launch(world *w, const char *entry, const char *options, const char *behind,
                      cuda_elementwise *a) {
    static const uint16_t addresses[] = {
        offsetof(cuda_elementwise, out), offsetof(cuda_elementwise, in[0].data),
        offsetof(cuda_elementwise, in[1].data), offsetof(cuda_elementwise, in[2].data)};
    char name[160];
    (void)snprintf(name, sizeof name, "%s %s", entry, options);
    const opencl_launch l = {.name = name,
                             .entry = entry,
                             .options = options,
                             .texts = {opencl_common, opencl_elementwise, behind},
                             .groups = 1,
                             .group = N,
                             .args = a,
                             .bytes = sizeof *a,
                             .addresses = addresses,
                             .n_addresses = 4,
                             .report_bytes = sizeof(cuda_fault)};
    return opencl_queue_launch(w->queue, &l, &w->err);
}

/* Of x and a number. */
static cuda_elementwise args_of(const world *w, int kind, double number) {
    return (cuda_elementwise){.out = w->y,
                              .n = N,
                              .kind = kind,
                              .rank = 1,
                              .dims = {N},
                              .in = {{.data = w->x, .strides = {1}}, {.number = number}}};
}

#define WITHOUT "-D WITHOUT_DOUBLE -D T=float -D A=float -D W=float -D FLOATS"

static void arithmetic_of_floats_needs_none(void **state) {
    world *w = *state;
    static const float x[N] = {1, -2, 0.5f, 3, -0.25f, 1e30f};
    static const double numbers[] = {0, 1, -2, 0.5, 3e-20};
    if (!w->device) skip();
    ok(w, opencl_ops.copy_in(w->queue, NULL, w->x, x, sizeof x, &w->err));
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        float y[N];
        cuda_elementwise a = args_of(w, LOOP_MUL, numbers[k]);
        ok(w, launch(w, "df_arith", WITHOUT, NULL, &a));
        ok(w, opencl_ops.copy_out(w->queue, NULL, y, w->y, sizeof y, &w->err));
        ok(w, opencl_ops.record(w->queue, NULL, w->event, NULL, &w->err));
        opencl_ops.queue_flush(w->queue);
        opencl_ops.event_wait(w->device, w->event, UINT64_MAX);
        for (int i = 0; i < N; i++) assert_true(y[i] == x[i] * (float)numbers[k]);
    }
}

static void what_needs_double_says_so(void **state) {
    world *w = *state;
    static const char words[] = "this device computes no double, which this kernel needs";
    if (!w->device) skip();
    cuda_elementwise a = args_of(w, LOOP_EXP, 0), b = a;
    assert_int_equal(launch(w, "df_function", WITHOUT, opencl_function, &a), DF_INTERNAL);
    assert_non_null(strstr(w->err.message, words));
    assert_int_equal(launch(w, "df_arith", WITHOUT " -D DOUBLES", NULL, &b), DF_INTERNAL);
    assert_non_null(strstr(w->err.message, words));
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(arithmetic_of_floats_needs_none, open_world, close_world),
        cmocka_unit_test_setup_teardown(what_needs_double_says_so, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
