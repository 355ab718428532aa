/* SPDX-License-Identifier: MIT
 *
 * books.h - what is recorded about a device's queues, shared by the parts of its front:
 *
 *   device.c   kinds, opening and closing, memory
 *   queue.c    work is put on queues
 *   fence.c    points in that work, and what is held until they are reached
 *   waiter.c   the thread that asks, where a device does not tell
 *
 * One lock guards all of it. Nothing that is not ours is called under it.
 */
#ifndef DEVICE_BOOKS_H
#define DEVICE_BOOKS_H

#include "device/device.h"

/* What is kept until a fence has ended. */
struct queue_held {
    queue_held *next;
    void (*drop)(void *what);
    void *what;
};

/* (c) constant after new, (l) under the books' lock, (r) by who records it */
struct device_fence {
    fence base;                 /* first */
    df_event_listener listener; /* (c) */
    device_books *books;        /* (c) */
    void *event;                /* (c) the kind's */
    device_fence *next_made;    /* (c) */
    df_queue *queue;            /* (r) where it was recorded, as the next two */
    df_work *work;
    uint64_t position;
    device_fence *next, *before; /* (l) in its queue's list; or next among the spare ones */
    size_t refs;                 /* (l) */
    fence_waiter *waiters;       /* (l) the first who waits is the last here */
    queue_held *holds;           /* (l) */
    bool is_kept;                /* (l) taken from those that are kept at hand */
    bool is_recorded;            /* (l) its event may be asked */
    bool is_overtaken;           /* (l) until recorded, then constant: perhaps; see waiter.c */
    bool ended;                  /* (l) */
    bool failed;                 /* (l) until ended, then constant; why too */
    df_error why;
};

/* Lives until the device is closed and no fence is out: a tensor keeps its own. */
struct device_books {
    const df_device_ops *ops;         /* (c) */
    void *impl;                       /* (c) the kind's device */
    const df_allocator *alloc;        /* (c) */
    const df_threads *threads;        /* (c) */
    char name[DEVICE_NAME_MAX];       /* (c) */
    bool notifies;                    /* (c) */
    df_queue *queues[DF_QUEUE_KINDS]; /* (c) while the device is open */
    mutex lock;
    condition wake;          /* the waiter: there is something to ask for, or closing */
    device_fence *made;      /* (l) all */
    device_fence *spare;     /* (l) */
    size_t n_spare, n_kept;  /* (l) of which so many are to be at hand, */
    size_t n_kept_out;       /* (l) less those in use */
    queue_held *spare_holds; /* (l) */
    size_t users;            /* (l) fences that are out, and the device */
    void *thread;            /* (l) the waiter */
    bool closing;            /* (l) */
};

/* ---- fence.c ---- */
device_books *books_new(const df_allocator *alloc); /* NULL: out of memory, or of locks */
/* What no fence will drop, since none comes. */
void books_drop_loose(device_books *b);
/* The device goes, its queues have. All fences have ended; those that are out stay valid. */
void books_close(device_books *b);

/* The fence that f is; NULL: somebody else's. */
device_fence *fence_of(fence *f);
/* One that has two references, the caller's and the queue's. NULL: out of memory, or *err. */
device_fence *fence_take(device_books *b, bool is_kept, df_error *err);
/* On the list of its queue, with what is loose there; before it is recorded, since it may end at
 * once. Then it was, or it was not and goes. */
void fence_enter(device_fence *f);
void fence_recorded(device_fence *f);
void fence_leave(device_fence *f);
/* The event of the fence has ended. */
void fence_over(device_fence *f, const df_error *why);

/* ---- queue.c ---- */
/* No more work is taken, if no call is going on and no more than `put` was there. False: else. */
bool queue_close(df_queue *q, uint64_t put);
/* True: the caller is the queue's own thread. False once it is closed. */
bool queue_is_inside(df_queue *q);

/* A position behind all that anybody may know to be there. Calls that are going on may have put
 * their work there already, and it may have run; they are counted first, since they end in `put`.
 * A program that reaches the queue may have put something there without a call.
 */
uint64_t queue_put(df_queue *q);

/* ---- waiter.c ---- */
/* Sees what has ended, where the device does not tell. */
void queue_poll(df_queue *q);
/* The oldest fence of a queue can be asked again. */
void waiter_wake_locked(device_books *b, const df_queue *q) DF_REQUIRES(&b->lock);
df_code waiter_start(device_books *b, df_error *err);
void waiter_stop(device_books *b);

#endif /* DEVICE_BOOKS_H */
