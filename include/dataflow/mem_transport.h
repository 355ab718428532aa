/* SPDX-License-Identifier: MIT
 *
 * mem_transport.h - a network within the process, for tests of programs that talk to others.
 *
 * The program owns a network. Endpoints that are opened by its df_transport_ops reach each other as
 * processes do over a real one, with what a test needs besides:
 *
 *   - time is the network's own: it passes only when the program says so, and the same calls from
 *     one thread with the same seed give the same run. Or it is the real time, and threads of the
 *     network make the upcalls;
 *   - links have latency, jitter (by which messages overtake each other) and bandwidth;
 *   - faults on demand: a connection is lost at any byte, an endpoint is killed, or hangs, and
 *     another is opened under its address.
 *
 *     df_mem_network *net;
 *     df_transport_ops mem;
 *     df_mem_network_new(&(df_mem_options){.struct_size = sizeof(df_mem_options)}, &net, NULL);
 *     df_mem_network_ops(net, &mem);
 *     ... mem.open(mem.user, &(df_transport_options){..., .address = "mem://worker/0"}, &w, ...)
 *     df_mem_network_run(net, 1000000);    // a millisecond passes
 *
 * DF_MEM_NEVER, as a link's latency, is a network that is cut, as when a cable is out: what is sent
 * is lost, and nobody is told. A real one delivers it later, or loses the connection; here the
 * connection lives when the link comes up again, without what was lost. A call that has lost its
 * request or its reply so never ends by itself, and no heartbeat finds it, since whoever owes the
 * reply lives: it ends with its connection or its endpoint, or when it is cancelled. A step that
 * waits for it ends at its deadline or by its handle, else not, nor do those behind it that share
 * its variables. So bring a link up as a real one comes up: reset the connections over it
 * (df_transport_ops.reset, or df_mem_network_cut with 0 bytes).
 *
 * Endpoints are cheap: thousands do no harm. An address is "mem://" and a name; a name that ends in
 * ":0" gets a number that is free. An endpoint's identity is its address.
 *
 * All memory is the network's allocator's. It is a library of its own, dataflow_mem, for tests
 * alone.
 *
 * Threads: any, unless said otherwise; not inside an upcall: _run, _step and _free.
 */
#ifndef DATAFLOW_MEM_TRANSPORT_H
#define DATAFLOW_MEM_TRANSPORT_H

#include <dataflow/transport.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct df_mem_network df_mem_network;

enum { DF_MEM_THREADS_MAX = 16 };
#define DF_MEM_NEVER UINT64_MAX

/* What a message costs on its way in one direction. */
typedef struct df_mem_link {
    uint64_t latency;     /* ns; DF_MEM_NEVER: it is lost, and nobody is told (see above) */
    uint64_t jitter;      /* ns: at random, less than this, besides */
    uint64_t bytes_per_s; /* 0: bytes cost nothing */
} df_mem_link;

typedef struct df_mem_options {
    size_t struct_size;       /* sizeof(df_mem_options) */
    uint64_t seed;            /* of jitter */
    df_mem_link link;         /* of all links at first. All zero: 10 us and 10 GB/s */
    uint64_t connect_timeout; /* ns until a call ends that can reach nobody. 0: a second */
    int threads;              /* 0: time is the network's own; else it is real */
    const df_allocator *allocator;
    const df_threads *source; /* of threads */
} df_mem_options;

/* Ownership  allocator and source are borrowed until it is freed. */
DF_API df_code df_mem_network_new(const df_mem_options *options, df_mem_network **out,
                                  df_error *err);
/* Every endpoint has been closed. */
DF_API void df_mem_network_free(df_mem_network *network);

/* Fills *out with the calls of its endpoints, for as long as the network lives. */
DF_API void df_mem_network_ops(df_mem_network *network, df_transport_ops *out);

/* ---- time ---- */

/* Ns since it was made. */
DF_API uint64_t df_mem_network_now(df_mem_network *network);
/* Goes on to what happens next, and makes its upcalls. False: nothing will, by itself. With threads
 * there is nothing to do, as for _run. One thread at a time. */
DF_API bool df_mem_network_step(df_mem_network *network);
/* Lets ns pass, with all that happens meanwhile. Returns how many steps that were. */
DF_API uint64_t df_mem_network_run(df_mem_network *network, uint64_t ns);

/* ---- links and faults ---- */

/* From now on, for what is sent from one address to another; NULL: any. The last that fits holds.
 * RESOURCE_EXHAUSTED: no memory. */
DF_API df_code df_mem_network_link(df_mem_network *network, const char *from, const char *to,
                                   const df_mem_link *link, df_error *err);
/* After so many more bytes from one to the other the connection on which they travel is lost, once.
 * A message is 32 bytes, its meta and its payload. */
DF_API df_code df_mem_network_cut(df_mem_network *network, const char *from, const char *to,
                                  uint64_t bytes, df_error *err);

/* What becomes of an endpoint. NOT_FOUND: there is none at this address. */
typedef enum df_mem_fate {
    DF_MEM_KILLED, /* gone: its connections are lost, its address is free, and it makes no upcall
                      any more. For whoever opened it, close must still be called */
    DF_MEM_HANGS,  /* it takes what arrives, and makes no upcall until it goes on, or is closed */
    DF_MEM_GOES_ON
} df_mem_fate;
DF_API df_code df_mem_network_fate(df_mem_network *network, const char *address, df_mem_fate fate,
                                   df_error *err);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_MEM_TRANSPORT_H */
