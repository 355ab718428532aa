/* SPDX-License-Identifier: MIT
 *
 * faulty_kind.h - the simulated accelerator with links that take their time, memory that runs out,
 * and somebody who cancels in the middle of a step.
 *
 * There is one at a time in a program, of which two devices are opened.
 */
#ifndef FAULT_FAULTY_KIND_H
#define FAULT_FAULTY_KIND_H

#include <dataflow/dataflow.h>
#include <dataflow/sim.h>

enum { FAULTY_DEVICES = 2 };

/* The kind, for df_runtime_options.kinds, until faulty_kind_end. How slow each queue is comes from
 * the seed; DF_SIM_... are its flags. */
const df_device_ops *faulty_kind_begin(uint64_t seed, uint32_t flags);
/* When its devices have been closed. Returns how many blocks of pinned memory are out. */
size_t faulty_kind_end(void);

/* From the n-th block from now on a device has no memory; 0: it has some again. */
void faulty_kind_exhaust(int device, uint64_t n);

/* A queue's n-th nap from now on fires the handle. NULL: none does any more, when this returns. */
void faulty_kind_cancel(df_cancel *cancel, uint64_t n);

#endif /* FAULT_FAULTY_KIND_H */
