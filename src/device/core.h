/* SPDX-License-Identifier: MIT
 *
 * core.h - a kind's device, which lives as long as a block of its memory is out: longer than the
 * df_device, since a program may keep a tensor.
 */
#ifndef DEVICE_CORE_H
#define DEVICE_CORE_H

#include "device/books.h"

/* What df_device_request.shared points to, for all devices of a kind. */
struct kind_word {
    kind_word *next;          /* of a runtime */
    const df_device_ops *ops; /* (c) */
    const df_allocator *alloc;
    refcount refs; /* the runtime's, and a core's each */
    mutex lock;
    condition wake;
    bool is_taken; /* (l) by an open or a close, which take turns */
    void *word;    /* the kind's, in such a turn */
};

struct device_core {
    const df_device_ops *ops; /* (c), as all below */
    void *impl;
    df_device_traits traits;
    kind_word *word; /* a reference */
    const df_allocator *alloc;
    char name[DEVICE_NAME_MAX];
    /* (a) The queue in whose order its memory is, while that is open; and who looks at it. A block
     * may be given back while the device is closed:
     *   A  users + 1, reads compute, uses the queue, users - 1
     *   B  compute = NULL, reads users until it is 0, frees the queue
     * B reads by adding 0: the two additions are in some order, and whoever comes second sees what
     * the first has written, B the user, or A NULL. */
    _Atomic(df_queue *) compute;
    _Atomic uint32_t users;
};

/* Opens the device, and makes its memory, whose end closes it. */
df_code core_open(const df_device_ops *ops, const df_device_request *request, kind_word *word,
                  device_core **out, memory **mem, df_error *err);
/* Nobody uses the compute queue any more by way of the memory. */
void core_forget_queue(device_core *c);

/* NULL: it is closed. */
df_device *core_device(device_core *c);

/* For memory of the program's own on the device: as a tensor's release and its user, so that
 * `release` is called when the compute queue has passed all that may use it. NULL: out of memory.
 */
void *core_borrow(device_core *c, void (*release)(void *user, void *block), void *user);
void core_return(void *borrowed, void *block);
void core_forget_loan(void *borrowed); /* no tensor has it; NULL is fine */

/* The one of this kind, which is new if there is none yet in the list. NULL: out of memory. */
kind_word *kind_word_of(kind_word **list, const df_device_ops *ops, const df_allocator *alloc);

#endif /* DEVICE_CORE_H */
