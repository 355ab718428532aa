/* SPDX-License-Identifier: MIT
 *
 * random_run.h - what is done with a random graph: programs, steps, and what came out.
 *
 * A script is drawn once, from the graph without pins, and speaks of values and nodes by
 * their numbers; so the same script is played on every runtime. Its last program
 * fetches every variable.
 */
#ifndef PROPERTY_RANDOM_RUN_H
#define PROPERTY_RANDOM_RUN_H

#include "property/random_graph.h"

enum { SCRIPT_PROGRAMS = 3, SCRIPT_STEPS = 6, SCRIPT_TARGETS = 4 };

typedef struct script_program {
    uint32_t feeds[RANDOM_VALUES]; /* values */
    size_t n_feeds;
    uint32_t fetches[RANDOM_VALUES]; /* values; some twice */
    size_t n_fetches;
    uint32_t targets[SCRIPT_TARGETS]; /* nodes */
    size_t n_targets;
    bool promised; /* the feeds' shapes are told to the compiler: the batch is the same always */
    int64_t batch;
} script_program;

typedef struct script_step {
    uint32_t program;
    int64_t batch;
    uint64_t seed; /* of the feeds' elements */
    bool spoilt;   /* the culprit must fail */
} script_step;

typedef struct script {
    script_program programs[SCRIPT_PROGRAMS];
    size_t n_programs;
    script_step steps[SCRIPT_STEPS];
    size_t n_steps;
} script;

void script_draw(script *s, const random_graph *g);

/* A graph on its runtime, with the programs of a script. */
typedef struct playing {
    const script *script;
    random_graph *g;
    df_session *session;
    df_program *programs[SCRIPT_PROGRAMS];
    uint64_t runs[SCRIPT_PROGRAMS];    /* that succeeded */
    df_tensor **results[SCRIPT_STEPS]; /* of each step */
    char why[1200];                    /* what went wrong; "": nothing */
} playing;

/* Makes session and programs. False: p->why has the words. */
bool playing_start(playing *p, df_runtime *rt, const graph_recipe *recipe, const script *s);
/* One step of the script; its results stay in p. False: it went wrong. A spoilt step must
 * fail by the culprit's name, and gives no results. */
bool playing_step(playing *p, size_t step);
/* Its k-th feed, as each time. */
df_tensor *playing_feed(const playing *p, size_t step, size_t k);
/* Whatever the results of a step are, the other's are the same bits. */
bool playing_same(playing *p, const playing *reference, size_t step);
/* Each crossing carried one tensor in each run that succeeded, if there was no other. */
bool playing_counted(playing *p);
void playing_drop(playing *p, size_t step); /* gives the results of a step back */
void playing_end(playing *p);

#endif /* PROPERTY_RANDOM_RUN_H */
