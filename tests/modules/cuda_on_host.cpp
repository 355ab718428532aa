/* SPDX-License-Identifier: MIT */
#include "modules/cuda_on_host.h"

#include "modules/cuda_on_host_launch.h"

#include <cstdio>
#include <memory>
#include <mutex>
#include <ucontext.h>
#include <vector>

/* The address sanitizer must be told of stacks. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(WITH_ASAN)
#include <sanitizer/common_interface_defs.h>
static const void *home_stack;
static size_t home_size;
#define SWITCH_TO(save, stack, size) __sanitizer_start_switch_fiber((save), (stack), (size))
#define SWITCHED(save, stack, size)  __sanitizer_finish_switch_fiber((save), (stack), (size))
#else
#define SWITCH_TO(save, stack, size) ((void)0)
#define SWITCHED(save, stack, size)  ((void)0)
#endif

cuda_dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __noinline__ __attribute__((noinline))
#include "kernels/cuda/all.cu"

/* ---- which there are ----------------------------------------------------- */

static cuda_on_host_kernel *&kernels() {
    static cuda_on_host_kernel *first;
    return first;
}

static std::vector<int> &runs() {
    static std::vector<int> counts;
    return counts;
}

cuda_on_host_kernel::cuda_on_host_kernel(const char *name, unsigned threads, size_t bytes,
                                         void (*run)(const void *args))
    : name(name), threads(threads), bytes(bytes), run(run), next(kernels()) {
    kernels() = this;
    runs().push_back(0);
}

int cuda_on_host_count(void) {
    return static_cast<int>(runs().size());
}

static cuda_on_host_kernel *kernel_at(int i) {
    cuda_on_host_kernel *k = kernels();
    while (i-- > 0) k = k->next;
    return k;
}

const char *cuda_on_host_name(int i) {
    return kernel_at(i)->name;
}

size_t cuda_on_host_bytes(int i) {
    return kernel_at(i)->bytes;
}

int cuda_on_host_runs(int i) {
    return runs()[static_cast<size_t>(i)];
}

/* ---- a block ------------------------------------------------------------- */

static const size_t STACK = 64 * 1024;

struct fiber {
    ucontext_t context;
    std::vector<char> stack;
    void *fake; /* the address sanitizer's */
    unsigned thread;
    bool waits;
};

/* The block that runs. */
static std::vector<std::unique_ptr<fiber>> fibers; /* kept from block to block */
static fiber home, *current;
static unsigned next_thread; /* of those that have not begun: counted in their order */
static bool reversed;
static void (*body)(const void *args);
static const void *body_args;

static void leave(fiber *f) {
    SWITCH_TO(&f->fake, home_stack, home_size);
    swapcontext(&f->context, &home.context);
    SWITCHED(f->fake, &home_stack, &home_size);
}

void __syncthreads() {
    fiber *self = current;
    self->waits = true;
    leave(self);
}

/* For good: a fiber serves one block after the other. */
static void run_threads() {
    SWITCHED(NULL, &home_stack, &home_size);
    for (;;) {
        fiber *self = current;
        while (next_thread < blockDim.x) {
            self->thread = threadIdx.x = reversed ? blockDim.x - 1 - next_thread : next_thread;
            next_thread++;
            body(body_args);
        }
        self->waits = false;
        leave(self);
    }
}

static void resume(fiber *f) {
    current = f;
    threadIdx.x = f->thread;
    f->waits = false;
    SWITCH_TO(&home.fake, f->stack.data(), STACK);
    swapcontext(&home.context, &f->context);
    SWITCHED(home.fake, NULL, NULL);
}

static fiber *fiber_at(size_t i) {
    if (i < fibers.size()) return fibers[i].get();
    fibers.emplace_back(new fiber());
    fiber *f = fibers[i].get();
    f->stack.resize(STACK);
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack.data();
    f->context.uc_stack.ss_size = STACK;
    f->context.uc_link = NULL;
    makecontext(&f->context, run_threads, 0);
    return f;
}

static void run_block() {
    size_t n = 0;
    next_thread = 0;
    while (next_thread < blockDim.x) resume(fiber_at(n++)); /* each until it waits or ends */
    for (bool waiting = true; waiting;) {
        waiting = false;
        for (size_t i = 0; i < n; i++) {
            if (!fibers[i]->waits) continue;
            resume(fibers[i].get());
            waiting = waiting || fibers[i]->waits;
        }
    }
}

void cuda_on_host_reverse(int descending) {
    reversed = descending != 0;
}

/* ---- a launch ------------------------------------------------------------ */

static df_code refuse(df_error *err, df_code code, const char *kernel) {
    if (err) {
        *err = df_error();
        err->code = code;
        snprintf(err->message, sizeof err->message, "on the host: launch of %.60s", kernel);
    }
    return code;
}

df_code cuda_on_host_launch(void *queue, const cuda_launch *l, df_error *err) {
    (void)queue;
    int i = 0;
    cuda_on_host_kernel *k = kernels();
    for (; k && strcmp(k->name, l->kernel) != 0; k = k->next) i++;
    if (!k) return refuse(err, DF_NOT_FOUND, l->kernel);
    bool fits = l->grid[0] >= 1 && l->grid[0] <= INT32_MAX && l->grid[1] == 1 && l->grid[2] == 1 &&
                l->block[0] >= 1 && l->block[0] <= k->threads && l->block[1] == 1 &&
                l->block[2] == 1;
    if (!fits) return refuse(err, DF_INVALID_ARGUMENT, l->kernel);
    static std::mutex one_at_a_time;
    std::lock_guard<std::mutex> lock(one_at_a_time);
    runs()[static_cast<size_t>(i)]++;
    gridDim = {l->grid[0], l->grid[1], l->grid[2]};
    blockDim = {l->block[0], l->block[1], l->block[2]};
    body = k->run;
    body_args = l->params[0];
    for (unsigned b = 0; b < gridDim.x; b++) {
        blockIdx = {b, 0, 0};
        threadIdx = {0, 0, 0};
        run_block();
    }
    return DF_OK;
}
