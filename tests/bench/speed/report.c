/* SPDX-License-Identifier: MIT */
#include "bench/speed/report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bench/common.h"

static void *grown(void *items, size_t n, size_t *room, size_t size) {
    if (n < *room) return items;
    *room = *room ? 2 * *room : 64;
    items = realloc(items, *room * size);
    bench_need(items != NULL, "report", "out of memory");
    return items;
}

void report_add(report *r, const report_row *row) {
    r->rows = grown(r->rows, r->n, &r->room, sizeof *r->rows);
    r->rows[r->n++] = *row;
}

void report_note(report *r, const char *format, ...) {
    va_list args;
    r->notes = grown(r->notes, r->n_notes, &r->room_notes, sizeof *r->notes);
    va_start(args, format);
    (void)vsnprintf(r->notes[r->n_notes], sizeof *r->notes, format, args);
    va_end(args);
    printf("# %s\n", r->notes[r->n_notes++]);
    (void)fflush(stdout);
}

bool report_goal_holds(const report_goal_row *g) {
    return g->at_least ? g->value >= g->bound : g->value <= g->bound;
}

void report_goal(report *r, const char *name, double value, double bound, bool at_least) {
    report_goal_row g = {.value = value, .bound = bound, .at_least = at_least};
    (void)snprintf(g.name, sizeof g.name, "%s", name);
    r->goals = grown(r->goals, r->n_goals, &r->room_goals, sizeof *r->goals);
    r->goals[r->n_goals++] = g;
    printf("goal %s %.3g %s%.3g %s\n", name, value, at_least ? ">=" : "", bound,
           report_goal_holds(&g) ? "ok" : "missed");
}

void report_huge_goals(report *r) {
    char line[512], name[64];
    double value, bound;
    FILE *f = r->huge ? fopen(r->huge, "r") : NULL;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "goal %63s %lf %lf", name, &value, &bound) == 3)
            report_goal(r, name, value, bound, false);
    if (f) (void)fclose(f);
}

const report_row *report_find(const report *r, const char *point, const char *racer, int workers) {
    for (size_t i = 0; i < r->n; i++) {
        const report_row *row = &r->rows[i];
        if (row->workers == workers && strcmp(row->point, point) == 0 &&
            strcmp(row->racer, racer) == 0)
            return row;
    }
    return NULL;
}

double report_best_peer(const report *r, const char *point, int workers) {
    double best = 0;
    for (size_t i = 0; i < r->n; i++) {
        const report_row *row = &r->rows[i];
        if (row->kind != REPORT_PEER || row->workers != workers || strcmp(row->point, point) != 0)
            continue;
        if (best <= 0 || row->least < best) best = row->least;
    }
    return best;
}

static void print_row(const report *r, const report_row *row) {
    double best = report_best_peer(r, row->point, row->workers);
    printf("%-26s %-16s %d %12.2f %12.2f ", row->point, row->racer, row->workers, row->least,
           row->median);
    if (row->floor_least > 0)
        printf("%10.3f ", row->least / row->floor_least);
    else
        printf("%10s ", "-");
    if (best > 0)
        printf("%10.3f\n", row->least / best);
    else
        printf("%10s\n", "-");
}

void report_print(const report *r, size_t from) {
    if (from == 0 && r->n > 0)
        printf("%-26s %-16s %s %12s %12s %10s %10s\n", "point", "racer", "w", "ns least",
               "ns median", "of floor", "of peer");
    for (size_t i = from; i < r->n; i++) print_row(r, &r->rows[i]);
    (void)fflush(stdout);
}

void report_free(report *r) {
    free(r->rows);
    free(r->goals);
    free(r->notes);
    *r = (report){.n = 0};
}
