/* SPDX-License-Identifier: MIT
 *
 * processes.h - the same training over several processes of this machine.
 *
 * Each device of the model is another process's: worker 0's, worker 1's and so on. They are forked
 * from this one, which is their master, and reached by gRPC on the loopback interface. Where the
 * library was built without gRPC there are none.
 */
#ifndef SHARED_PROCESSES_H
#define SHARED_PROCESSES_H

#include "options.h"

#include <dataflow/cluster.h>

typedef struct processes processes;

/* o->processes of them; this one is to be their master. Before anything else: what is forked has
 * but one thread. */
df_code processes_new(const options *o, processes **out, df_error *err);

/* The runtime joins as the master: the cluster, for df_session_options. */
df_code processes_join(processes *p, df_runtime *runtime, df_cluster **cluster, df_error *err);

/* The master leaves, and the workers end. NULL is fine. */
void processes_free(processes *p);

#endif /* SHARED_PROCESSES_H */
