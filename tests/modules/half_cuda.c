/* SPDX-License-Identifier: MIT
 *
 * It cannot launch a kernel.
 */
#define FAKE_CUDA_HALF
#include "modules/fake_cuda.c"
