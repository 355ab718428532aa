/* SPDX-License-Identifier: MIT
 *
 * It cannot launch a kernel.
 */
#define FAKE_OPENCL_HALF
#include "modules/fake_opencl.c"
