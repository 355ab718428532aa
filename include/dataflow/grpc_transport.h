/* SPDX-License-Identifier: MIT
 *
 * grpc_transport.h - processes that reach each other by gRPC.
 *
 *     df_grpc_options o = {.struct_size = sizeof o, .certificate = mine, .key = my_key, .ca = ca};
 *     df_grpc_engine *engine;
 *     df_transport_ops grpc;
 *     df_grpc_engine_new(&o, &engine, &err);
 *     df_grpc_engine_ops(engine, &grpc);
 *     df_cluster_options co = {.struct_size = sizeof co, .transport = &grpc};
 *
 * An address is "grpc://host:port", with a name or a number: "grpc://10.0.0.1:2222",
 * "grpc://[fd00::1]:2222". Port 0, to listen, is one that is free; to call, one where nobody is.
 *
 * With a certificate every connection is TLS, and both sides show who they are: one whose
 * certificate is not signed by `ca`, or has expired, is not let in, and a caller expects the host
 * that it calls among the names of the certificate it is shown. df_request.identity, which
 * df_cluster_task.identity is compared with, is the first URI among the caller's alternative names
 * ("spiffe://cluster/job/worker/1"), or else the first DNS name, or else the common name.
 *
 * Without, nobody is asked who he is, and whoever reaches the port may run graphs: so an endpoint
 * listens on this machine's own addresses only ("127.0.0.1", "::1", "localhost"), unless told
 * otherwise.
 *
 * It is a library of its own, dataflow_grpc, which needs gRPC's C core. gRPC has threads and
 * state of the whole process, shared with whatever else uses it there; what it logs is dropped if
 * this engine was the first to start it. A process that forks must do so before.
 *
 * Threads: any.
 */
#ifndef DATAFLOW_GRPC_TRANSPORT_H
#define DATAFLOW_GRPC_TRANSPORT_H

#include <dataflow/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_grpc_engine df_grpc_engine;

/* Every member but struct_size may be left zero. */
typedef struct df_grpc_options {
    size_t struct_size; /* sizeof(df_grpc_options) */

    /* PEM, as text; all three or none. Copied. */
    const char *certificate; /* of this process, and those between it and the CA */
    const char *key;         /* of the certificate */
    const char *ca;          /* whom it trusts: the certificates that sign others' */

    /* Without a certificate too it listens wherever it is told to. */
    bool insecure_beyond_loopback;

    /* The most bytes of payload that it takes in one message; longer is RESOURCE_EXHAUSTED. 0: any
     * number. */
    uint64_t max_payload;

    /* A connection on which a reply is owed, and nothing has come for so many ns, is asked for a
     * sign of life, and lost if there is none in so many. 0: 1 s, 3 s. */
    uint64_t keepalive, keepalive_timeout;

    const df_allocator *allocator;
} df_grpc_options;

/* Ownership  one owner, who calls df_grpc_engine_free; allocator is borrowed.
 * Errors     INVALID_ARGUMENT: of certificate, key and CA some are missing. Whether they are what
 *            they should be shows when an endpoint is opened. */
DF_API df_code df_grpc_engine_new(const df_grpc_options *options, df_grpc_engine **out,
                                  df_error *err);
/* Every endpoint has been closed. NULL is fine. */
DF_API void df_grpc_engine_free(df_grpc_engine *engine);

/* Fills *out with the calls of its endpoints, for as long as the engine lives. An endpoint has one
 * thread, which makes its upcalls. */
DF_API void df_grpc_engine_ops(df_grpc_engine *engine, df_transport_ops *out);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_GRPC_TRANSPORT_H */
