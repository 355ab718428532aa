/* SPDX-License-Identifier: MIT
 *
 * dataflow.h - the whole library.
 *
 * A program builds a graph of operations, says where some of them must run, and runs it
 * again and again. The library places every node, cuts the graph at each edge that
 * crosses devices, puts a Send and a Recv node with one generated key in the place of
 * the edge, and runs each partition with an executor; tensors meet at a rendezvous.
 *
 * What holds everywhere unless a function says otherwise:
 *
 * Ownership  arguments are borrowed for the call. _new gives an object with one owner,
 *            who calls _free; of what is shared, _new gives a reference, and _ref and _unref
 *            count. A plain noun (df_node_name)
 *            is borrowed from its argument. Destructors take NULL. An out is written
 *            only on success (but results are set to NULL if a step fails).
 * Threads    one thread at a time may use an object; different objects at the same
 *            time.
 * Errors     a df_code, and words in a df_error that may be NULL; it is written only on
 *            failure, so start it with {DF_OK} if you look at it at the end. The library
 *            never prints, aborts or exits, and reads no environment variable. A call
 *            that failed has changed nothing. NULL in the place of an object, a list or an
 *            out is INVALID_ARGUMENT; of a NULL nothing is known: 0, NULL or "".
 * Blocking   no call waits, but df_program_run, df_session_new (which runs initialisers),
 *            _close, _save and _restore for steps, df_runtime_poll as long as it is told, and the
 *            last _free for threads to end. Times are in ns of the monotonic clock.
 * Options    a struct that begins with struct_size; zero means the default; NULL
 *            means all defaults.
 * C++        may include every header; the macros that make lists and shapes in place
 *            (DF_SHAPE, DF_OUTS, ...) are C's.
 */
#ifndef DATAFLOW_DATAFLOW_H
#define DATAFLOW_DATAFLOW_H

#include <dataflow/error.h>
#include <dataflow/allocator.h>
#include <dataflow/threads.h>
#include <dataflow/tensor.h>
#include <dataflow/attr.h>
#include <dataflow/op.h>
#include <dataflow/device.h>
#include <dataflow/key.h>
#include <dataflow/rendezvous.h>
#include <dataflow/graph.h>
#include <dataflow/ops.h>
#include <dataflow/runtime.h>
#include <dataflow/partition.h>
#include <dataflow/run.h>
#include <dataflow/session.h>
#include <dataflow/inline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of these headers, and, as text, "0.1.0", that of the library that is linked. */
#define DF_VERSION_MAJOR 0
#define DF_VERSION_MINOR 1
#define DF_VERSION_PATCH 0
DF_API const char *df_version(void);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_DATAFLOW_H */
