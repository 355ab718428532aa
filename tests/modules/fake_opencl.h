/* SPDX-License-Identifier: MIT
 *
 * fake_opencl.h - a loader of OpenCL's with one platform of its own, which computes on the host, so
 * that what is written for a device is tested without one, and under sanitizers. It is loaded from
 * fake_opencl.so; what is declared here is found there by dlsym.
 *
 *   - Queues are threads, and commands run when their turn comes, once their queue was flushed: who
 *     gives memory back too early, or never flushes, is found out.
 *   - A command that fails ends its context: what is left there ends with an error, and calls are
 *     not refused. What is put behind an event that has failed is counted (`behind`): PoCL would
 *     never end it.
 *   - What was given back and is used by nobody any more is freed, so that the address sanitizer
 *     finds who uses it.
 *
 * Kernels are host functions that the test registers, by the names of functions in the text.
 */
#ifndef MODULES_FAKE_OPENCL_H
#define MODULES_FAKE_OPENCL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

enum { FAKE_OPENCL_ARGS = 16 };

/* Called once for all items, on the queue's thread. args are copies, made at the launch; of a
 * buffer, where its bytes are, or NULL. Returns what the command ends with: 0, or an error. */
typedef int fake_opencl_kernel(const void *const *args, size_t items);

void fake_opencl_register(const char *name, fake_opencl_kernel *run);

/* The k-th call from now on of the one that is exported as `symbol` (NULL: of any) answers `result`
 * and does nothing else. k = 0 calls it off. */
void fake_opencl_fail(const char *symbol, int k, int result);

/* The device of a context (a cl_context) is gone: so it answers every call that puts something
 * there. */
void fake_opencl_lose(void *context);

/* Forgets what the test has set and registered, and checks that nothing is held any more: else the
 * words say what. NULL: nothing. */
const char *fake_opencl_reset(void);

/* Set before the device is opened. 0 is as good as never set. */
typedef struct fake_opencl_world {
    atomic_int devices;      /* 0: two; -1: none; -2: and no platform */
    atomic_int old;          /* they are of OpenCL 1.1 */
    atomic_int unified;      /* their memory is the host's */
    atomic_int refuses_text; /* programs are not built */
    atomic_int fails_after;  /* the k-th command from now on fails */

    /* Books: what is held, and what has happened. */
    atomic_int contexts, queues, buffers, events, programs, kernels, maps;
    atomic_int broken;  /* calls that were made to fail */
    atomic_int builds;  /* programs that were built */
    atomic_int behind;  /* commands that were put behind an event that had failed */
    atomic_int orphans; /* calls that a child of fork has made */
} fake_opencl_world;
extern fake_opencl_world fake_opencl;

#endif /* MODULES_FAKE_OPENCL_H */
