/* SPDX-License-Identifier: MIT
 *
 * cublas.h - products of matrices by cuBLAS, which is loaded if it is there.
 *
 * It sums in an order of its own, with fused multiply-adds: float32 within about 1e-6 and float64
 * within 1e-14 of the sum of the products' absolute values. TF32 is never asked for.
 */
#ifndef KERNELS_CUDA_CUBLAS_H
#define KERNELS_CUDA_CUBLAS_H

#include <dataflow/allocator.h>

#include "kernels/cuda/args.h"

typedef struct cublas cublas;

/* From libcublas.so.13, .12 or .11, or from `file`. NOT_FOUND.
 * Threads  of the object: any, each with the device of its queue current (df_device_ops.enter). */
df_code cublas_open(const df_allocator *alloc, const char *file, cublas **out, df_error *err);
/* While the devices whose queues it was used for are still open, and one is current; or else they
 * are lost, and what cuBLAS has of them is lost, too. NULL is fine. */
void cublas_close(cublas *b, bool lost);

/* Puts the product on the queue, whose CUstream is `stream`. False: this is not for cuBLAS (an
 * integer, sizes beyond an int, batches in more than one dimension, nothing to do), and nothing was
 * done. Else *code says how it went. */
bool cublas_multiply(cublas *b, void *queue, void *stream, df_dtype dtype, const cuda_matmul *m,
                     df_code *code, df_error *err);

#endif /* KERNELS_CUDA_CUBLAS_H */
