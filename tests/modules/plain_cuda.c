/* SPDX-License-Identifier: MIT
 *
 * It lacks what a driver may lack.
 */
#define FAKE_CUDA_PLAIN
#include "modules/fake_cuda.c"
