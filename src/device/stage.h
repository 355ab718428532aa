/* SPDX-License-Identifier: MIT
 *
 * stage.h - copies from pageable memory into a device's, by way of a ring of pinned memory.
 *
 * A device's engine reads pinned memory only. What lies elsewhere is copied into the ring, piece by
 * piece, and from there by the engine, while the next piece is copied:
 *
 *     pageable  --threads-->  [ piece | piece |   ...   ]  --engine-->  device memory
 *
 * What is small and finds room is copied by the calling thread. The rest is a job, for threads of
 * the stage's own, which wait for room: so the caller never does, and is told when all of it is on
 * the queue.
 */
#ifndef DEVICE_STAGE_H
#define DEVICE_STAGE_H

#include "device/device.h"

typedef struct stage stage;

/* The caller's from stage_copy until `ended` has begun. */
typedef struct stage_job stage_job;
struct stage_job {
    /* err NULL: all is on the queue. Exactly once, on a thread of the stage, with no lock held. */
    void (*ended)(stage_job *j, const df_error *err);
    df_queue *queue;
    df_work *work;
    df_tensor *to, *from; /* of the device, of the host; the caller keeps both until the end */
    /* The stage's: */
    stage_job *next;
    size_t given, copied; /* bytes that a thread has taken, and that are on the queue */
    df_error err;
};

stage *stage_new(df_device *d, const df_threads *threads); /* NULL: out of memory, or of locks */
/* Jobs that are there come to their end; no more come. Before the queues are stopped. */
void stage_stop(stage *s);
void stage_free(stage *s); /* after they have; NULL is fine */

/* True: device d cannot copy from where t lies at full speed. */
bool stage_needs(const df_device *d, const df_tensor *t);
/* True: it was small, there was room, and it is on the queue, or *code says why not. */
bool stage_copy_now(stage *s, df_queue *q, df_work *work, df_tensor *to, const df_tensor *from,
                    df_code *code, df_error *err);
/* Begins a job. On an error there is none. */
df_code stage_copy(stage *s, stage_job *j, df_error *err);

#endif /* DEVICE_STAGE_H */
