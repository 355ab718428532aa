/* SPDX-License-Identifier: MIT */
#ifndef KERNELS_ARITH_H
#define KERNELS_ARITH_H

#include "op/op.h"

/* The kernels of Add and Sub: what AssignAdd and AssignSub compute, too. */
df_code arith_add(df_kernel *c, df_error *err);
df_code arith_sub(df_kernel *c, df_error *err);

#endif /* KERNELS_ARITH_H */
