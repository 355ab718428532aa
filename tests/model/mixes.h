/* SPDX-License-Identifier: MIT
 *
 * mixes.h - a planned channel, or a key of the table, and a few actors on it, on the real source.
 *
 * A mix is a word, one letter for each actor; capitals are the plan's own calls:
 *
 *   S  send             s  send by somebody else
 *   V  recv             v  recv by somebody else
 *   C  cancel of V      c  cancel of v
 *   D  S, then s        W  V, then v
 *   a  abort            A  abort, then a send and a recv that must be refused
 *   L  lends and borrows a tensor, as two steps would that go on after an abort
 *   U  drops a reference; then every actor has one of its own and drops it at its end,
 *      so that whoever is last ends what waits
 *
 * At the end of every schedule: each done ran once and left its recv alone afterwards, each
 * tensor has been released, and rules R2, R4, R5, R7 and R8 hold.
 */
#ifndef MODEL_MIXES_H
#define MODEL_MIXES_H

#include <dataflow/schedules.h>

enum { MIX_MAX = 4 };

typedef enum mix_where { MIX_PLANNED, MIX_TABLE } mix_where;

/* Before any mix, and after all. */
bool mixes_init(void);
void mixes_fini(void);

/* The test of one mix. It is there until the next one is asked for. */
df_schedules mix_test(const char *mix, mix_where where);

/* All words of n letters that make sense: who is cancelled is there, and the plan has no second
 * Send or Recv. Letters are repeated; words of the same letters are one. */
void mixes_each(const char *letters, int n, void (*run)(const char *mix, void *arg), void *arg);

#endif /* MODEL_MIXES_H */
