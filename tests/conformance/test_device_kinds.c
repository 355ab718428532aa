/* SPDX-License-Identifier: MIT
 *
 * device_kinds KIND - the conformance suite for kinds of device on each of the library's own, with
 * and without what they may lack. CUDA runs on the driver that DATAFLOW_TEST_CUDA names, a true
 * one, or on the fake one; FAKE_OPENCL on a fake one, and OPENCL on what the system has, of which
 * PoCL can be two devices. 77: it has none.
 */
#include <dataflow/device_conformance.h>
#include <dataflow/sim.h>

#include "device/cuda/cuda.h"
#include "device/cuda/launch.h"
#include "device/opencl/opencl.h"
#include "device/opencl/launch.h"
#include "device/sim/sim.h"
#include "modules/fake_cuda.h"
#include "modules/fake_opencl.h"
#include "support/scale.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static const uint64_t second = 1000000000u; /* ns */
static int n_broken;

static void report(void *user, int rule, const char *asks, const char *wrong) {
    printf("  D%d  %s: %s\n", rule, asks, wrong ? wrong : "kept");
    n_broken += wrong != NULL;
    (void)user;
}

static void skipped(void *user, int rule, const char *why) {
    printf("  D%d  not tested: %s\n", rule, why);
    (void)user;
}

static void run_suite(const char *name, df_device_conformance suite) {
    suite.struct_size = sizeof suite;
    suite.report = report;
    suite.skipped = skipped;
    suite.limit = (test_scaled(100) < 20 ? 100 : 10) * second;
    printf("%s\n", name);
    (void)df_device_conformance_run(&suite);
}

/* ---- SIM ------------------------------------------------------------------- */

static void lose_sim(void *user, void *device) {
    (void)user;
    atomic_put(&((sim_device *)device)->is_lost, 1, RELAXED);
}

static void sim(void) {
    static const struct {
        const char *name;
        uint32_t flags;
    } ways[] = {{"SIM", 0},
                {"SIM without peers", DF_SIM_NO_PEERS},
                {"SIM that needs pinned memory", DF_SIM_PINNED},
                {"SIM that is asked", DF_SIM_ASKED},
                {"SIM without a checker", DF_SIM_UNCHECKED}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const df_sim_options o = {.struct_size = sizeof o, .flags = ways[i].flags};
        df_device_ops ops;
        df_sim_kind(&o, &ops);
        run_suite(ways[i].name,
                  (df_device_conformance){.ops = &ops, .devices = 2, .lose = lose_sim});
    }
}

/* ---- CUDA ------------------------------------------------------------------- */

static struct {
    fake_cuda_world *world;
    void (*add)(const char *name, fake_cuda_kernel *run, const size_t *sizes, size_t n);
    void *(*at)(uint64_t address, size_t bytes);
    const char *(*reset)(void);
} fake;

static atomic_int is_held;

static void wait_until_let_go(const fake_cuda_grid *grid, void **params) {
    (void)grid;
    (void)params;
    while (atomic_load(&is_held)) (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
}

static void go_astray(const fake_cuda_grid *grid, void **params) {
    (void)grid;
    (void)params;
    (void)fake.at(64, 1);
}

static df_code put_kernel(void *queue, const char *kernel, df_error *err) {
    const cuda_launch l = {.kernel = kernel, .grid = {1, 1, 1}, .block = {1, 1, 1}};
    return cuda_queue_launch(queue, &l, err);
}

static df_code hold(void *user, void *device, void *queue, df_error *err) {
    (void)user;
    (void)device;
    atomic_store(&is_held, 1);
    return put_kernel(queue, "wait_until_let_go", err);
}

static void let_go(void *user, void *device, void *queue) {
    (void)user;
    (void)device;
    (void)queue;
    atomic_store(&is_held, 0);
}

static df_code fail(void *user, void *device, void *queue, df_work *work, df_error *err) {
    (void)user;
    (void)device;
    (void)work;
    return put_kernel(queue, "go_astray", err);
}

static void find(void *library, const char *name, void *to) {
    void *at = dlsym(library, name);
    if (!at) exit(1);
    memcpy(to, &at, sizeof at);
}

static void cuda(void) {
    const char *driver = getenv("DATAFLOW_TEST_CUDA");
    df_device_ops ops = cuda_ops;
    df_device_conformance suite = {.ops = &ops, .devices = 1};
    if (driver) {
        ops.user = (void *)(uintptr_t)driver;
        run_suite("CUDA", suite);
        return;
    }
    void *library = dlopen(DATAFLOW_MODULES_DIR "/fake_cuda.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) exit(1);
    find(library, "fake_cuda", &fake.world);
    find(library, "fake_cuda_register", &fake.add);
    find(library, "fake_cuda_at", &fake.at);
    fake.add("wait_until_let_go", wait_until_let_go, NULL, 0);
    fake.add("go_astray", go_astray, NULL, 0);
    fake.world->memory = (size_t)256 << 20;
    ops.user = DATAFLOW_MODULES_DIR "/fake_cuda.so";
    suite.devices = 2;
    suite.hold = hold;
    suite.let_go = let_go;
    suite.fail = fail;
    run_suite("CUDA, by a fake driver", suite);
    fake.world->apart = 1;
    run_suite("CUDA, by a fake driver, devices apart", suite);
}

/* ---- OPENCL ----------------------------------------------------------------- */

/* What holds a queue: an event of the program's own. */
static struct {
    cl_event (*create)(cl_context context, cl_result *result);
    cl_result (*set)(cl_event event, int32_t status);
    cl_event event;
} gate;

static df_code hold_opencl(void *user, void *device, void *queue, df_error *err) {
    opencl_device *d = device;
    cl_result result = CL_SUCCESS;
    df_code rc;
    (void)user;
    gate.event = gate.create(d->context, &result);
    if (result != CL_SUCCESS) return df_error_set(err, DF_INTERNAL, "no event: %d", result);
    OPENCL_ASK(rc, d, err, barrier, df_opencl_kernel_queue(queue), 1, &gate.event, NULL);
    return rc;
}

static void let_go_opencl(void *user, void *device, void *queue) {
    opencl_device *d = device;
    (void)user;
    (void)queue;
    (void)gate.set(gate.event, CL_COMPLETE);
    (void)d->driver.event_release(gate.event);
}

static bool is_there(int index, char *why, size_t size) {
    df_error err = {.code = DF_OK};
    df_device_traits traits = {.struct_size = sizeof traits};
    void *device = NULL;
    const df_device_request request = {
        .struct_size = sizeof request, .name = "OPENCL:0", .index = index};
    df_code code = opencl_ops.open(NULL, &request, &device, &traits, &err);
    if (code == DF_OK) opencl_ops.close(device);
    (void)snprintf(why, size, "%s", code == DF_OK ? traits.text : err.message);
    return code == DF_OK;
}

/* False: there is none. */
static bool opencl(void) {
    char words[512];
    df_device_conformance suite = {
        .ops = &opencl_ops, .devices = 1, .hold = hold_opencl, .let_go = let_go_opencl};
    (void)setenv("POCL_DEVICES", "pthread pthread", false);
    bool there = is_there(0, words, sizeof words);
    printf("OPENCL: %s\n", words);
    if (!there) return false;
    if (is_there(1, words, sizeof words)) suite.devices = 2;
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    find(library, "clCreateUserEvent", &gate.create);
    find(library, "clSetUserEventStatus", &gate.set);
    run_suite("OPENCL", suite);
    return true;
}

/* ---- OPENCL, by a fake driver ----------------------------------------------- */

static struct {
    fake_opencl_world *world;
    void (*add)(const char *name, fake_opencl_kernel *run);
    void (*lose)(void *context);
} fake_cl;

static int wait_while_held(const void *const *args, size_t items) {
    (void)args;
    (void)items;
    while (atomic_load(&is_held)) (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return 0;
}

static int end_in_error(const void *const *args, size_t items) {
    (void)args;
    (void)items;
    return CL_OUT_OF_RESOURCES;
}

static df_code launch_fake_opencl(void *queue, const char *kernel, df_error *err) {
    int nothing = 0;
    const opencl_launch l = {.name = kernel,
                             .entry = kernel,
                             .options = "",
                             .texts = {"a text"},
                             .groups = 1,
                             .group = 1,
                             .args = &nothing,
                             .bytes = sizeof nothing};
    return opencl_queue_launch(queue, &l, err);
}

static df_code hold_fake_opencl(void *user, void *device, void *queue, df_error *err) {
    (void)user;
    (void)device;
    atomic_store(&is_held, 1);
    return launch_fake_opencl(queue, "wait_while_held", err);
}

static df_code fail_fake_opencl(void *user, void *device, void *queue, df_work *work,
                                df_error *err) {
    (void)user;
    (void)device;
    (void)work;
    return launch_fake_opencl(queue, "end_in_error", err);
}

static void lose_fake_opencl(void *user, void *device) {
    (void)user;
    fake_cl.lose(((opencl_device *)device)->context);
}

static void fake_opencl_kind(void) {
    df_device_ops ops = opencl_ops;
    ops.user = DATAFLOW_MODULES_DIR "/fake_opencl.so";
    void *library = dlopen(DATAFLOW_MODULES_DIR "/fake_opencl.so", RTLD_NOW | RTLD_LOCAL);
    if (!library) exit(1);
    find(library, "fake_opencl", &fake_cl.world);
    find(library, "fake_opencl_register", &fake_cl.add);
    find(library, "fake_opencl_lose", &fake_cl.lose);
    fake_cl.add("wait_while_held", wait_while_held);
    fake_cl.add("end_in_error", end_in_error);
    run_suite("OPENCL, by a fake driver", (df_device_conformance){.ops = &ops,
                                                                  .devices = 2,
                                                                  .hold = hold_fake_opencl,
                                                                  .let_go = let_go,
                                                                  .fail = fail_fake_opencl,
                                                                  .lose = lose_fake_opencl});
    if (fake_cl.world->behind) {
        printf("%d commands were put behind what has failed\n", (int)fake_cl.world->behind);
        n_broken++;
    }
}

int main(int argc, char **argv) {
    if (argc < 2 || strcasecmp(argv[1], "sim") == 0) sim();
    if (argc < 2 || strcasecmp(argv[1], "cuda") == 0) cuda();
    if (argc < 2 || strcasecmp(argv[1], "fake_opencl") == 0) fake_opencl_kind();
    if (argc > 1 && strcasecmp(argv[1], "opencl") == 0 && !opencl()) return 77;
    printf("%d rules broken\n", n_broken);
    return n_broken != 0;
}
