/* SPDX-License-Identifier: MIT */
#define FAKE_BLAS_HALF
#include "modules/fake_blas.c"
