/* SPDX-License-Identifier: MIT
 *
 * clock.h - time as a device would have needed it.
 *
 * Nothing here measures, waits or is as fast as the machine. Each piece of work is told when it is
 * put on a queue, and at once it is known when it begins and ends:
 *
 *     begin = max(end of the queue's last work, what the queue waits for, engine free)
 *     end   = begin + latency + bytes / bandwidth, rounded up to ns
 *
 * 1. A queue has a time, the end of what was put there; an engine has one, the end of its last
 * work. Work takes one engine from begin to end, and no engine does two things at once.
 * 2. An event's time is that of its queue when it was recorded. To wait for it is to be told it.
 * 3. Times depend on the calls and their order alone. Waits point backwards, so all that a call
 *    needs is known when it is made. Calls for one queue are made in its order, under its own lock.
 *    Calls for queues that share no engine may then be made in any order: the times are the same.
 *    Queues that share one are served in the order of the calls, as a device's engine serves what
 *    was submitted first. So the times of a program are the same on each run if those queues are
 *    filled by one thread, or each call for an engine by another thread is ordered by the program.
 *    Who tells of work when it is played, not when it is put there, has the times of his threads.
 * 4. Work that is skipped or fails later took its time.
 *
 * One object for a device; a queue may be told the time of another device's event, so one time is
 * everybody's. The host takes no time of its own: work that it puts on a queue because an event has
 * ended begins no earlier than that if the queue is told to wait for it. Times never pass the end
 * of a uint64_t. The lock is a leaf.
 */
#ifndef DEVICE_SIM_CLOCK_H
#define DEVICE_SIM_CLOCK_H

#include <dataflow/allocator.h>

#include <stdint.h>

typedef struct sim_clock sim_clock;

typedef enum sim_engine {
    SIM_ENGINE_COMPUTE,
    SIM_ENGINE_IN,
    SIM_ENGINE_OUT,
    SIM_ENGINE_ACROSS,
    SIM_ENGINES
} sim_engine;

enum { SIM_CLOCK_QUEUES = 16 };

/* What a piece of work costs. */
typedef struct sim_cost {
    uint64_t latency; /* ns, whatever its size */
    uint64_t bytes;
    uint64_t bytes_per_s; /* 0: bytes cost nothing */
} sim_cost;

/* When it is done, in ns from the device's beginning. */
typedef struct sim_span {
    uint64_t begin, end;
} sim_span;

sim_clock *sim_clock_new(const df_allocator *alloc); /* NULL: out of memory, or of locks */
void sim_clock_free(sim_clock *c);

/* Queues are 0 to SIM_CLOCK_QUEUES - 1, each at time 0 at first. */
sim_span sim_clock_work(sim_clock *c, int queue, sim_engine engine, const sim_cost *cost);
void sim_clock_wait(sim_clock *c, int queue, uint64_t time);
uint64_t sim_clock_now(sim_clock *c, int queue); /* of an event that is recorded there now */
/* For how long the engine has worked in all. */
uint64_t sim_clock_busy(sim_clock *c, sim_engine engine);

uint64_t sim_cost_ns(const sim_cost *cost);

#endif /* DEVICE_SIM_CLOCK_H */
