/* SPDX-License-Identifier: MIT
 *
 * rendezvous.h - where the two halves of a cut edge meet.
 *
 * The partitioner replaces every edge that crosses devices by a Send node, a Recv
 * node and a key that both of them hold. While a step runs, the pair meets here.
 * They never see each other, and either one may come first:
 *
 *     send(key, tensor) --->  [ key | tensor or waiter ]  <--- recv(key, done)
 *
 * A step's own rendezvous is made by the library. One can also be used by itself: within a
 * process (df_rendezvous_new_local), or of a backend (df_rendezvous_new). All keep these rules:
 *
 *   R1  send never waits: not for a recv, a copy or the network.
 *   R2  The callback of a recv runs exactly once, whatever happens.
 *   R3  It runs with no lock of the library held, and may call send, recv or abort.
 *   R4  Tensors sent under one key arrive in the order sent; a second send is not
 *       an error.
 *   R5  The first abort wins: its error ends every waiting recv and answers every
 *       call that begins after it returned; what nobody fetched is released. A call
 *       that races with it ends one way or the other.
 *   R6  Keys are compared whole: two keys with equal hashes never mix.
 *   R7  One waiting recv can be cancelled without touching the others; a recv that
 *       finds its tensor there succeeds even if it was cancelled at the same time.
 *   R8  Destroying a rendezvous ends what still waits with CANCELLED; it never waits
 *       for ever and never leaks.
 *   R9  Both endpoints (device, queue, memory) reach the transfer.
 *   R10 The receiver's endpoint decides what delivered means. With no queue: the
 *       tensor is ready for the host when the callback runs. With a queue: the work
 *       that produces it has been enqueued; a later failure is the step's, never a
 *       second callback.
 */
#ifndef DATAFLOW_RENDEZVOUS_H
#define DATAFLOW_RENDEZVOUS_H

#include <dataflow/allocator.h>
#include <dataflow/device.h>
#include <dataflow/key.h>
#include <dataflow/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- calls --------------------------------------------------------------- */

/* One rendezvous serves one step of one program. Reference counted. */
typedef struct df_rendezvous df_rendezvous;

/* Where a tensor is, or where it is wanted. */
typedef struct df_endpoint {
    df_device *device; /* borrowed; NULL: the host, on no device in particular */
    df_queue *queue;   /* orders the transfer among the device's work; NULL: the host */
    uint32_t memory;   /* DF_MEMORY_... */
    uint32_t reserved; /* 0 */
} df_endpoint;

/* A recv on its way: the caller's memory from df_rendezvous_recv until `done` has
 * begun. Waiting therefore allocates nothing. Zero it, then set the first four.
 *
 * done tells how the recv ended: exactly once, with no lock held, on any thread, the
 * caller's own before df_rendezvous_recv has returned included. On success err is
 * NULL and the callee owns one reference of tensor; on failure tensor is NULL, and
 * err lasts for the call. It must not block. It may free r, unless a
 * df_rendezvous_cancel of r is still running: then not before that has returned. */
typedef struct df_recv df_recv;
struct df_recv {
    const df_key *key; /* unchanged until done */
    df_endpoint to;
    void (*done)(df_recv *r, const df_error *err, df_tensor *tensor);
    void *user;         /* passed through */
    void *reserved[12]; /* zeroed by the caller; the library's and the backend's */
};

/* Makes a rendezvous within this process, for any keys.
 *
 * Ownership  *out holds one reference; the allocator is borrowed. */
DF_API df_code df_rendezvous_new_local(const df_allocator *allocator, df_rendezvous **out,
                                       df_error *err);

/* Leaves tensor under key.
 *
 * Ownership  takes a reference of its own; key and from are borrowed for the call.
 * Threads    any.
 * Errors     the abort's code after an abort; RESOURCE_EXHAUSTED; INVALID_ARGUMENT, of a tensor
 *            that does not lie at from, too. On an error nothing was left. A failure after
 *            that is the receiver's. */
DF_API df_code df_rendezvous_send(df_rendezvous *r, const df_key *key, const df_endpoint *from,
                                  df_tensor *tensor);

/* Asks for the tensor under recv->key, to be delivered at recv->to. It returns
 * nothing: every outcome goes through done. Threads: any. */
DF_API void df_rendezvous_recv(df_rendezvous *r, df_recv *recv);

/* Ends this one recv with CANCELLED, unless its tensor was there first. A cancel
 * that comes before the recv is remembered. Threads: any. Never waits: done may
 * still be running on another thread when it returns. */
DF_API void df_rendezvous_cancel(df_rendezvous *r, df_recv *recv);

/* Ends the step for everybody, with *why, which is copied and must not be DF_OK (it
 * is then taken as INTERNAL). Safe from any thread and from inside done. Never
 * allocates. Waiting recvs may still be finishing on other threads on return. */
DF_API void df_rendezvous_abort(df_rendezvous *r, const df_error *why);

DF_API df_rendezvous *df_rendezvous_ref(df_rendezvous *r);
DF_API void df_rendezvous_unref(df_rendezvous *r); /* NULL is fine; see R8 */

/* ---- for those who write a backend --------------------------------------- */

/* Flags of df_rendezvous_ops. */
enum {
    /* Values come only through send, and a recv that comes after a send has returned finds
     * what was sent: the library may then tell that a step whose recvs all wait, and in which
     * nothing moves, is starved. Not for values that may be on their way, or come from
     * another process. */
    DF_RENDEZVOUS_CLOSED = 1u
};

/* The calls that a backend answers. They mean what the functions above say, rules
 * R1 to R10 included. The library stands in front and promises that
 *
 *   - arguments are valid, and no lock of the library is held during a call;
 *   - abort comes at most once (a send or recv that raced with it may still
 *     arrive after it, and must be answered with its error);
 *   - destroy comes last, once, when no other call is running (a call in which a done drops
 *     the last reference ends first); abort has come.
 *
 * Everything else may come from many threads at once.
 *
 * send     takes the reference of tensor, whatever it returns, and copies what it
 *          keeps of key and from.
 * recv     keeps r (its memory, not a copy) until it calls df_recv_finish. It may use
 *          r->reserved[8] to [11] as it likes; the others are the library's.
 * cancel   as df_rendezvous_cancel. The same r may be cancelled before its recv.
 * abort    when it returns every recv is finished, except those for which the backend
 *          holds a reference of the rendezvous; these it must still finish soon.
 *
 * A backend never calls r->done: it calls df_recv_finish. */
typedef struct df_rendezvous_ops {
    size_t struct_size; /* sizeof(df_rendezvous_ops) */
    const char *name;   /* for messages: "local" */
    uint32_t flags;
    df_code (*send)(void *self, const df_key *key, const df_endpoint *from, df_tensor *tensor);
    void (*recv)(void *self, df_recv *r);
    void (*cancel)(void *self, df_recv *r);
    void (*abort)(void *self, const df_error *why);
    void (*destroy)(void *self);
} df_rendezvous_ops;

/* Makes a rendezvous of a backend. ops is borrowed and must outlive it (a static
 * const, usually). On success self belongs to it; on failure to the caller. */
DF_API df_code df_rendezvous_new(const df_allocator *allocator, const df_rendezvous_ops *ops,
                                 void *self, df_rendezvous **out, df_error *err);

/* Ends a recv: with an error, or with the tensor that lies at *from, of which one
 * reference is taken. Here the library moves the tensor to r->to and calls done, now or
 * when a copy has ended. Call it exactly once for each recv, with no lock held. Afterwards r
 * may be gone; so may the rendezvous and self, but not before the backend's call has ended. */
DF_API void df_recv_finish(df_recv *r, const df_error *err, const df_endpoint *from,
                           df_tensor *tensor);

/* ---- one for each step --------------------------------------------------- */

/* Which step a rendezvous is for. Borrowed for the call; the keys as long as the step. */
typedef struct df_step_info {
    size_t struct_size;
    uint64_t program;              /* its number in the runtime, from 1 */
    uint64_t step;                 /* the step's number in the program, from 1 */
    const df_key *const *channels; /* the keys that will be sent and asked for, once each */
    size_t n_channels;
} df_step_info;

/* What a session takes (df_session_options.rendezvous) to use a rendezvous of the user's in the
 * place of its own. create is called once for each step, before it starts, on the thread that
 * starts it, with no lock held; an error ends the run. The reference in *out is the step's, which
 * drops it when it is over; nobody else's Recv may be in it. The rendezvous is for this step
 * alone, so do not give it twice.
 *
 * Ownership  the struct is copied; user must outlive the session, its programs and their runs.
 * Threads    several at once. */
typedef struct df_rendezvous_factory {
    size_t struct_size; /* sizeof(df_rendezvous_factory) */
    void *user;
    df_code (*create)(void *user, const df_step_info *step, df_rendezvous **out, df_error *err);
} df_rendezvous_factory;

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_RENDEZVOUS_H */
