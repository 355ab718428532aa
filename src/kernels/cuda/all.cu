/* SPDX-License-Identifier: MIT
 *
 * All code for the GPU, as one module.
 */
#include "kernels/cuda/elementwise.cu"
#include "kernels/cuda/fold.cu"
#include "kernels/cuda/matmul.cu"
#include "kernels/cuda/move.cu"
#include "kernels/cuda/rows.cu"
#include "kernels/cuda/values.cu"
#include "kernels/cuda/window.cu"
