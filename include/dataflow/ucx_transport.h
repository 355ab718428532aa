/* SPDX-License-Identifier: MIT
 *
 * ucx_transport.h - processes that reach each other by UCX, on a network that is trusted.
 *
 *     df_ucx_options o = {.struct_size = sizeof o};
 *     df_ucx_engine *engine;
 *     df_transport_ops ucx;
 *     df_ucx_engine_new(&o, &engine, &err);
 *     df_ucx_engine_ops(engine, &ucx);
 *     df_cluster_options co = {.struct_size = sizeof co, .transport = &ucx};
 *
 * An address is "ucx://host:port". The host is a number or "localhost", as looking up a name may
 * wait: "ucx://10.0.0.1:2222", "ucx://[fd00::1]:2222". Port 0, to listen, is one that is free; to
 * call, one where nobody is. Who is reached by UCX cannot be called by gRPC, nor the reverse: all
 * tasks of a cluster have the same engine.
 *
 * UCX has no encryption and asks nobody who he is: whoever reaches the ports of an endpoint may
 * run graphs, read what is computed, and send what UCX itself was never meant to take. So an
 * endpoint listens on this machine's own addresses only ("127.0.0.1", "::1", "localhost"), unless
 * told otherwise. Do so where every machine that reaches it is trusted; elsewhere take gRPC.
 *
 * One interface is used, all others are left alone: the one that has the address on which the
 * endpoint listens, or the one that the options name. UCX alone would spread bytes over all.
 *
 * A peer that is killed is known at once, as UCX is asked for errors of peers; processes of one
 * machine reach each other by the loopback, as UCX's lanes through shared memory tell of none.
 *
 * It is a library of its own, dataflow_ucx, which needs UCX. What UCX has for the whole process:
 * when it is loaded it reads the environment's UCX_... and /etc/ucx/ucx.conf, and takes over SIGHUP
 * and, built so, the signals of errors. The first engine gives those signals back, unless another
 * handler stands there by then, and drops what UCX logs. It starts a thread. What this engine
 * does not set itself UCX takes from that environment too. A process that forks must do so before.
 * A UCX that was built with its assertions may abort: docs/transport.md says what was seen.
 *
 * Threads: any.
 */
#ifndef DATAFLOW_UCX_TRANSPORT_H
#define DATAFLOW_UCX_TRANSPORT_H

#include <dataflow/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_ucx_engine df_ucx_engine;

/* Every member but struct_size may be left zero. */
typedef struct df_ucx_options {
    size_t struct_size; /* sizeof(df_ucx_options) */

    /* The one that is used, by UCX's name: "eth0", "mlx5_0:1". NULL: the one that has the address
     * on which an endpoint listens; of one that only calls, that of the loopback. Copied. */
    const char *interface;

    /* It listens wherever it is told to. See above. */
    bool trusted_beyond_loopback;

    /* The most bytes of payload that it takes in one message; longer is RESOURCE_EXHAUSTED. 0: any
     * number. */
    uint64_t max_payload;

    const df_allocator *allocator;
} df_ucx_options;

/* Ownership  one owner, who calls df_ucx_engine_free; allocator is borrowed.
 * Errors     INVALID_ARGUMENT: the interface's name is too long. Whether it is there shows when an
 *            endpoint is opened. */
DF_API df_code df_ucx_engine_new(const df_ucx_options *options, df_ucx_engine **out, df_error *err);
/* Every endpoint has been closed. NULL is fine. */
DF_API void df_ucx_engine_free(df_ucx_engine *engine);

/* Fills *out with the calls of its endpoints, for as long as the engine lives. An endpoint has one
 * thread, which makes its upcalls. */
DF_API void df_ucx_engine_ops(df_ucx_engine *engine, df_transport_ops *out);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_UCX_TRANSPORT_H */
