/* SPDX-License-Identifier: MIT
 *
 * order.h - is every use of a block of memory ordered behind the uses that it must follow?
 *
 * A wait that was forgotten passes by luck on most machines. Here it does not: the verdict is taken
 * when work is put on a queue, from what was put on queues before, and never depends on how fast
 * anything runs.
 *
 * 1. Each queue has a clock of vectors: what it knows of the work of every other. A use of memory
 *    has the time of its queue. Recording an event copies the clock into a stamp, and what the
 * queue does afterwards is later than that; waiting joins the stamp to the waiting queue's clock.
 * 2. The host is a queue, too. It knows what lies behind events of which it has been told
 *    (sim_order_host_saw); and whatever is put on a queue knows all that the host has known and
 * done before. The host is one: that its threads tell each other is taken for granted.
 * 3. A use must know the last writes of the bytes that it touches, and a write the last reads as
 *    well. What does not is an error that names both. A use that was refused leaves no trace.
 * 4. A block that is dropped must have no use in flight: the host must have seen the end of all. So
 *    a block that is added has no history, wherever it lies.
 * 5. Bytes count, not blocks: whoever cuts a block into parts may use each as he likes.
 * 6. Memory is bounded: a block keeps SIM_ORDER_USES uses. One that all know is forgotten first,
 * for nobody can miss it; then the oldest. So something wrong may be missed, but nothing right is
 *    ever refused.
 * 7. Memory that was not added is the host's, and one block. It may be given back and taken again
 *    without a word: whoever does so has seen the end of its uses.
 *
 * One object serves all devices whose queues may wait for each other. Its lock is a leaf. Calls for
 * one queue are made in the order in which the work is put there: under the queue's own lock.
 * Vector clocks: Fidge 1988, Mattern 1989; for streams: PyTorch's torch/cuda/_sanitizer.py.
 */
#ifndef DEVICE_SIM_ORDER_H
#define DEVICE_SIM_ORDER_H

#include <dataflow/allocator.h>

#include <stdbool.h>

typedef struct sim_order sim_order;

enum {
    SIM_ORDER_HOST = 0,    /* the host's number among the queues */
    SIM_ORDER_QUEUES = 64, /* the host among them */
    SIM_ORDER_USES = 256   /* of one block that are remembered */
};

/* What a queue knew when an event was recorded. Lies in the event. */
typedef struct sim_order_stamp {
    uint64_t at[SIM_ORDER_QUEUES];
} sim_order_stamp;

typedef enum sim_order_use { SIM_ORDER_READ, SIM_ORDER_WRITE } sim_order_use;

sim_order *sim_order_new(const df_allocator *alloc); /* NULL: out of memory, or of locks */
void sim_order_free(sim_order *o);

/* A queue's number, which is never given to another. The name, for messages, is cut to 31 bytes.
 * RESOURCE_EXHAUSTED: there are SIM_ORDER_QUEUES. */
df_code sim_order_queue(sim_order *o, const char *name, int *queue, df_error *err);

void sim_order_record(sim_order *o, int queue, sim_order_stamp *out);
void sim_order_wait(sim_order *o, int queue, const sim_order_stamp *stamp);
void sim_order_host_saw(sim_order *o, const sim_order_stamp *stamp);

/* FAILED_PRECONDITION: not ordered. `what` is the use in words, cut to 39 bytes. A record that
 * cannot be kept for lack of memory is left out. */
df_code sim_order_access(sim_order *o, int queue, const void *address, size_t bytes,
                         sim_order_use use, const char *what, df_error *err);

/* False: out of memory. */
bool sim_order_block_add(sim_order *o, const void *address, size_t bytes);
/* FAILED_PRECONDITION: something may still use it. It is dropped all the same. */
df_code sim_order_block_drop(sim_order *o, const void *address, df_error *err);

#endif /* DEVICE_SIM_ORDER_H */
