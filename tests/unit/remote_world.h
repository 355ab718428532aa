/* SPDX-License-Identifier: MIT
 *
 * remote_world.h - two ends of the rendezvous between processes, A and B, on a network within this
 * one, whose time passes as the test says. All edges go from A to B.
 */
#ifndef UNIT_REMOTE_WORLD_H
#define UNIT_REMOTE_WORLD_H

#include "unit/recv_world.h" /* before what has types of its parameters' names */

#include "rendezvous/remote_parts.h"

#include <dataflow/dataflow.h>
#include <dataflow/mem_transport.h>

#include "session/runtime.h"
#include "support/fault.h"

enum { A, B, TWO, EDGES = 40, SESSION = 7, MS = 1000000 };

extern const char *const remote_names[TWO];

/* What became of a recv. */
typedef struct outcome {
    df_recv recv;
    int calls;
    df_error err;
    int32_t value; /* of an int32 */
} outcome;

typedef struct remote_world {
    fault_allocator memory;
    df_mem_network *net;
    df_transport_ops mem, ops; /* what remotes use, in front of the network's */
    df_runtime *rt;
    remote *r[TWO];
    remote_session *s[TWO];
    remote_program *p[TWO];
    df_key *keys[EDGES];
    remote_edge edges[TWO][EDGES];
    int held, lost;
    df_error why; /* of the last that was lost */
    uint64_t budget;
    void (*lies)(df_message *m); /* changes the next reply, behind its sender's back; NULL: none */
    void (*meanwhile)(void *user); /* comes once, while the next call is begun; NULL: nothing */
    void *user;
} remote_world;

void remote_world_open(remote_world *w, uint64_t budget);
void remote_world_close(remote_world *w);
/* One end comes, perhaps with other options than these, and goes. */
remote_options remote_options_of(remote_world *w, int i, uint64_t incarnation);
void remote_end_open_with(remote_world *w, int i, const remote_options *options);
void remote_end_open(remote_world *w, int i, uint64_t incarnation);
void remote_end_close(remote_world *w, int i);
/* Its program is one of the edges as they are now. */
void remote_program_again(remote_world *w, int i);

void remote_pass(remote_world *w, uint64_t ns);
df_rendezvous *remote_begin(remote_world *w, int i, uint64_t step);
/* By the plan's key; remote_end_it notes what becomes of it. */
void remote_recv(remote_world *w, df_rendezvous *r, int edge, outcome *g);
void remote_end_it(df_recv *r, const df_error *err, df_tensor *t);
void remote_give(remote_world *w, df_rendezvous *r, int edge, int32_t value);
void assert_ended(const outcome *g, df_code code, int32_t value);

#endif /* UNIT_REMOTE_WORLD_H */
