/* SPDX-License-Identifier: MIT
 *
 * What is said where there is no driver, or not the right one, or no device.
 */
#include "unit/cuda_world.h"

#include "base/clock.h"

#include <sys/wait.h>
#include <unistd.h>

static void refused(const char *path, int index, df_code code, const char *words,
                    const char *more) {
    fault_allocator heap;
    fault_allocator_init(&heap);
    void *device = NULL;
    df_error err = {.code = DF_OK};
    assert_int_equal(open_device(path, &heap.allocator, index, 0, &device, NULL, &err), code);
    assert_int_equal(err.code, code);
    assert_null(device);
    if (!strstr(err.message, words) || !strstr(err.message, more)) fail_msg("%s", err.message);
    if (strncmp(err.message, index ? "device CUDA:1" : "device CUDA:0", 13) != 0)
        fail_msg("%s", err.message);
    fault_allocator_end(&heap);
}

/* ---- the library --------------------------------------------------------- */

static void no_driver_is_told_with_the_reason_and_what_to_do(void **state) {
    (void)state;
    refused("libnowhere.so.1", 0, DF_NOT_FOUND,
            "no CUDA driver: ", "leave CUDA out of the devices");
    refused("libnowhere.so.1", 0, DF_NOT_FOUND, "libnowhere.so.1: ", "No such file");
    refused(DATAFLOW_TESTS_DIR "/golden/variables.txt", 0, DF_NOT_FOUND,
            "no CUDA driver: ", "variables.txt");
}

static void no_driver_is_told_within_a_millisecond(void **state) {
    (void)state;
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 50; i++) {
        uint64_t start = clock_now();
        refused("libnowhere.so.1", 0, DF_NOT_FOUND, "", "");
        uint64_t took = clock_now() - start;
        if (took < least) least = took;
    }
    assert_true(least < 1000000);
}

static void nobody_says_where_and_the_system_is_asked(void **state) {
    (void)state;
    void *there = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (there) skip();
    refused(NULL, 0, DF_NOT_FOUND, "libcuda.so.1: ", "install");
}

static void another_library_is_no_driver(void **state) {
    (void)state;
    refused(DATAFLOW_MODULES_DIR "/fake_blas.so", 0, DF_NOT_FOUND, "fake_blas.so is no CUDA driver",
            "cuInit");
}

static void a_call_that_is_missing_is_named(void **state) {
    (void)state;
    refused(HALF_CUDA, 0, DF_NOT_FOUND, "half_cuda.so has no cuLaunchKernel: ", "install");
}

static void an_old_driver_is_told_by_its_version(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA), half = fake_open(HALF_CUDA);
    f.world->version = half.world->version = 10020;
    refused(FAKE_CUDA, 0, DF_NOT_FOUND, "fake_cuda.so is too old: it is made for CUDA 10.2",
            "11.0 is needed");
    refused(HALF_CUDA, 0, DF_NOT_FOUND, "half_cuda.so is too old", "11.0 is needed");
    f.world->version = 11000;
    void *device = NULL;
    assert_int_equal(open_device(FAKE_CUDA, NULL, 0, 0, &device, NULL, NULL), DF_OK);
    cuda_ops.close(device);
    fake_close(&f);
    fake_close(&half);
}

static void the_stub_of_the_toolkit_is_told_from_a_driver(void **state) {
    (void)state;
    const char *path = "/usr/local/cuda/lib64/stubs/libcuda.so";
    void *stub = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!stub) skip(); /* or it is for another processor */
    assert_int_equal(dlclose(stub), 0);
    refused(path, 0, DF_NOT_FOUND, "the toolkit's stub", "true one");
}

static void what_a_driver_may_lack_is_done_without(void **state) {
    (void)state;
    fake f = fake_open(PLAIN_CUDA);
    void *d[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        assert_int_equal(open_device(PLAIN_CUDA, NULL, i, 0, &d[i], NULL, NULL), DF_OK);
    assert_false(cuda_ops.reaches(d[0], d[1]));
    void *at = NULL;
    assert_int_equal(cuda_ops.alloc(d[0], 1000, &at, NULL), DF_OK);
    cuda_ops.free(d[0], at, 1000);
    for (int i = 0; i < 2; i++) cuda_ops.close(d[i]);
    fake_close(&f);
}

/* ---- the devices --------------------------------------------------------- */

static void a_machine_without_a_device_says_so(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    f.world->devices = -1;
    refused(FAKE_CUDA, 0, DF_NOT_FOUND, "no CUDA device can be used",
            "CUDA_ERROR_NO_DEVICE (no CUDA-capable device is detected)");
    fake_close(&f);
}

static void an_index_beyond_the_last_is_told_with_how_many_there_are(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    f.world->devices = 1;
    refused(FAKE_CUDA, 1, DF_NOT_FOUND, "there is no such CUDA device", "of 1 that");
    fake_close(&f);
}

static void a_gpu_that_no_kernel_is_compiled_for_is_refused(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    f.world->capability = 37;
    refused(FAKE_CUDA, 0, DF_NOT_FOUND, "compute capability 3.7", "5.0 is needed");
    fake_close(&f);
}

static void traits_name_the_model_the_driver_and_the_memory(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    void *device = NULL;
    df_device_traits t = {.struct_size = sizeof t, .flags = 99};
    f.world->memory = 1 << 20;
    assert_int_equal(open_device(FAKE_CUDA, NULL, 1, 0, &device, &t, NULL), DF_OK);
    cuda_ops.close(device);
    assert_string_equal(t.text, "Fake GPU 1, driver for CUDA 12.4");
    assert_int_equal(t.memory, 1 << 20);
    assert_int_equal(t.flags, 0);
    assert_int_equal(open_device(FAKE_CUDA, NULL, 1, 5000, &device, &t, NULL), DF_OK);
    cuda_ops.close(device);
    assert_int_equal(t.memory, 5000);
    fake_close(&f);
}

/* ---- what goes wrong in between ------------------------------------------ */

static void a_failure_of_any_call_leaves_nothing_behind(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    int failures = 0;
    bool opened = false;
    for (int k = 1; !opened; k++) {
        fault_allocator heap;
        fault_allocator_init(&heap);
        void *device = NULL;
        df_error err = {.code = DF_OK};
        f.break_call(NULL, k, CU_OUT_OF_MEMORY);
        int before = f.world->calls;
        df_code rc = open_device(FAKE_CUDA, &heap.allocator, 0, 0, &device, NULL, &err);
        opened = f.world->calls - before < k;
        f.break_call(NULL, 0, 0);
        if (rc == DF_OK)
            cuda_ops.close(device);
        else
            failures++;
        assert_int_equal(rc == DF_OK, device != NULL);
        assert_int_equal(f.world->contexts, 0);
        fault_allocator_end(&heap);
    }
    assert_true(failures >= 5);
    fake_close(&f);
}

static void open_without_memory(fault_allocator *heap, void *arg) {
    void *device = NULL;
    df_error err = {.code = DF_OK};
    (void)arg;
    df_code rc = open_device(FAKE_CUDA, &heap->allocator, 0, 0, &device, NULL, &err);
    if (fault_allocations_failed(heap)) {
        assert_int_equal(rc, DF_RESOURCE_EXHAUSTED);
        assert_non_null(strstr(err.message, "CUDA:0"));
    } else {
        assert_int_equal(rc, DF_OK);
        cuda_ops.close(device);
    }
}

static void without_memory_it_is_not_opened(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    assert_true(fault_each_allocation(open_without_memory, NULL) > 0);
    fake_close(&f);
}

/* Exit codes of the child: 0 as it should be. */
static int open_in_a_child(void) {
    void *device = NULL;
    df_error err = {.code = DF_OK};
    if (open_device(FAKE_CUDA, NULL, 0, 0, &device, NULL, &err) != DF_UNAVAILABLE) return 1;
    return strstr(err.message, "before this process was forked") ? 0 : 2;
}

static void a_child_of_a_process_that_used_cuda_is_told_why_it_cannot(void **state) {
    (void)state;
    fake f = fake_open(FAKE_CUDA);
    void *device = NULL;
    assert_int_equal(open_device(FAKE_CUDA, NULL, 0, 0, &device, NULL, NULL), DF_OK);
    cuda_ops.close(device);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) _exit(open_in_a_child());
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fake_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_driver_is_told_with_the_reason_and_what_to_do),
        cmocka_unit_test(no_driver_is_told_within_a_millisecond),
        cmocka_unit_test(nobody_says_where_and_the_system_is_asked),
        cmocka_unit_test(another_library_is_no_driver),
        cmocka_unit_test(a_call_that_is_missing_is_named),
        cmocka_unit_test(an_old_driver_is_told_by_its_version),
        cmocka_unit_test(the_stub_of_the_toolkit_is_told_from_a_driver),
        cmocka_unit_test(what_a_driver_may_lack_is_done_without),
        cmocka_unit_test(a_machine_without_a_device_says_so),
        cmocka_unit_test(an_index_beyond_the_last_is_told_with_how_many_there_are),
        cmocka_unit_test(a_gpu_that_no_kernel_is_compiled_for_is_refused),
        cmocka_unit_test(traits_name_the_model_the_driver_and_the_memory),
        cmocka_unit_test(a_failure_of_any_call_leaves_nothing_behind),
        cmocka_unit_test(without_memory_it_is_not_opened),
        cmocka_unit_test(a_child_of_a_process_that_used_cuda_is_told_why_it_cannot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
