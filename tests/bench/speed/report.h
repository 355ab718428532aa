/* SPDX-License-Identifier: MIT
 *
 * report.h - what was measured: lines while it goes on, and files at the end.
 */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

typedef enum report_kind { REPORT_OURS, REPORT_FLOOR, REPORT_PEER } report_kind;

/* One racer at one point: ns of what the point counts (a node, a run, a pair). */
typedef struct report_row {
    char point[64]; /* "empty/chain/control": group, then what tells it from others of the group */
    char racer[32];
    report_kind kind;
    int workers;
    size_t samples;
    double least, median;
    double floor_least, floor_median; /* of the floor beside it */
} report_row;

typedef struct report_goal_row {
    char name[64];
    double value, bound;
    bool at_least; /* else at most */
} report_goal_row;

typedef struct report {
    report_row *rows;
    size_t n, room;
    report_goal_row *goals;
    size_t n_goals, room_goals;
    char (*notes)[256]; /* who took part, and who did not and why */
    size_t n_notes, room_notes;
    const char *huge; /* NULL, or a file with what huge printed: to be shown as it is */
} report;

void report_add(report *r, const report_row *row);
/* Prints it, too. */
void report_note(report *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints "goal NAME VALUE BOUND ok" or "... missed"; a bound with ">=" is one from below. A value
 * that was not measured (0 or less) is no goal. */
void report_goal(report *r, const char *name, double value, double bound, bool at_least);
/* Adds and prints the goals that are in r->huge. */
void report_huge_goals(report *r);
void report_print(const report *r, size_t from); /* a line of each row from there on */

/* NULL if it was not measured. */
const report_row *report_find(const report *r, const char *point, const char *racer, int workers);
/* The least of all peers at a point with as many workers; 0 if none was there. */
double report_best_peer(const report *r, const char *point, int workers);
bool report_goal_holds(const report_goal_row *g);

void report_json(const report *r, FILE *f);
void report_markdown(const report *r, FILE *f);
void report_svg(const report *r, FILE *f);

void report_free(report *r);

#endif /* BENCH_REPORT_H */
