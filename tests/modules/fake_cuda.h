/* SPDX-License-Identifier: MIT
 *
 * fake_cuda.h - a driver of CUDA's that computes on the host and keeps its rules, so that what is
 * written for a GPU is tested without one. It is loaded from fake_cuda.so; what is declared here is
 * found there by dlsym.
 *
 *   - Device memory cannot be reached by the host: its addresses lie in pages without access.
 *   - Streams are threads, and copies run when their turn comes: who gives host memory back too
 *     early is found out.
 *   - A call without a current context answers 201. An access that is not inside a block ends the
 *     context for good: 700, from every call. A child of fork gets 3. Events that were never
 *     recorded have ended; recording one again makes waits that were there before wait no longer.
 *
 * Kernels are host functions that the test registers.
 */
#ifndef MODULES_FAKE_CUDA_H
#define MODULES_FAKE_CUDA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct fake_cuda_grid {
    unsigned grid[3], block[3], shared;
} fake_cuda_grid;

/* Called once for the whole grid, on the stream's thread. params are copies, made at the launch;
 * addresses among them are the device's. */
typedef void fake_cuda_kernel(const fake_cuda_grid *grid, void **params);

/* sizes: of each parameter, n of them; all are borrowed. A name that is there gets the new one. */
void fake_cuda_register(const char *name, fake_cuda_kernel *run, const size_t *sizes, size_t n);

/* In a kernel: where the host finds so many bytes of device memory. What is not inside one block
 * ends the context, and gives NULL. */
void *fake_cuda_at(uint64_t address, size_t bytes);

/* The k-th call from now on of the one that is exported as `symbol` (NULL: of any) answers `result`
 * and does nothing else. k = 0 calls it off. Calls that a current context is not needed for are
 * counted too; those that give words are not. */
void fake_cuda_fail(const char *symbol, int k, int result);

/* Forgets what the test has set and registered, and checks that nothing is held any more: else the
 * words say what. NULL: nothing. */
const char *fake_cuda_reset(void);

/* Set before the device is opened. 0 is as good as never set. */
typedef struct fake_cuda_world {
    atomic_int version;      /* of the driver; 0: 12.4 */
    atomic_int devices;      /* 0: two; -1: none */
    atomic_int capability;   /* 0: 9.0, as 90 */
    atomic_int apart;        /* devices cannot reach each other */
    atomic_int capturing;    /* some thread captures a graph, in the mode in which all must stop */
    atomic_int lose_after;   /* the device is lost by the k-th piece of work from now on */
    atomic_int refuses_text; /* modules are not compiled */
    size_t memory;           /* of each device; 0: 64 MiB */

    /* Books: what is held, and what has happened. */
    atomic_int contexts, streams, events, blocks, pinned, registered, modules;
    atomic_int calls;    /* those that fake_cuda_fail counts */
    atomic_int work;     /* pieces of work done */
    atomic_int lookups;  /* kernels that were asked for by name, and found */
    atomic_int peers;    /* pairs with access */
    atomic_int pageable; /* copies from or to host memory that is not pinned */
    atomic_int orphans;  /* calls that a child of fork has made */
    atomic_int spoilt;   /* calls that have spoilt a capture */
    atomic_int sleepers; /* threads in cuEventSynchronize */
    atomic_int naps;     /* calls of it so far */
} fake_cuda_world;
extern fake_cuda_world fake_cuda;

#endif /* MODULES_FAKE_CUDA_H */
