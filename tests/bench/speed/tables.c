/* SPDX-License-Identifier: MIT
 *
 * The report as files: JSON for programs, tables in Markdown for people.
 */
#include "bench/speed/report.h"

#include <string.h>

static const char *const kind_names[] = {"ours", "floor", "peer"};

/* ---- JSON ---------------------------------------------------------------- */

static void json_string(FILE *f, const char *text) {
    (void)fputc('"', f);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fprintf(f, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            fprintf(f, "\\u%04x", (unsigned)*text);
        else
            (void)fputc(*text, f);
    }
    (void)fputc('"', f);
}

static void json_row(FILE *f, const report *r, const report_row *row) {
    double best = report_best_peer(r, row->point, row->workers);
    fprintf(f, "    {\"point\": \"%s\", \"racer\": \"%s\", \"kind\": \"%s\", \"workers\": %d, ",
            row->point, row->racer, kind_names[row->kind], row->workers);
    fprintf(f, "\"samples\": %zu, \"ns_least\": %.3f, \"ns_median\": %.3f", row->samples,
            row->least, row->median);
    if (row->floor_least > 0)
        fprintf(f, ", \"floor_ns_least\": %.3f, \"floor_ns_median\": %.3f, \"of_floor\": %.4f",
                row->floor_least, row->floor_median, row->least / row->floor_least);
    if (best > 0) fprintf(f, ", \"of_best_peer\": %.4f", row->least / best);
    (void)fputs("}", f);
}

void report_json(const report *r, FILE *f) {
    (void)fputs("{\n  \"notes\": [\n", f);
    for (size_t i = 0; i < r->n_notes; i++) {
        (void)fputs("    ", f);
        json_string(f, r->notes[i]);
        (void)fputs(i + 1 < r->n_notes ? ",\n" : "\n", f);
    }
    (void)fputs("  ],\n  \"results\": [\n", f);
    for (size_t i = 0; i < r->n; i++) {
        json_row(f, r, &r->rows[i]);
        (void)fputs(i + 1 < r->n ? ",\n" : "\n", f);
    }
    (void)fputs("  ],\n  \"goals\": [\n", f);
    for (size_t i = 0; i < r->n_goals; i++) {
        const report_goal_row *g = &r->goals[i];
        fprintf(f, "    {\"goal\": \"%s\", \"value\": %.4f, \"at_%s\": %.4g, \"holds\": %s}%s\n",
                g->name, g->value, g->at_least ? "least" : "most", g->bound,
                report_goal_holds(g) ? "true" : "false", i + 1 < r->n_goals ? "," : "");
    }
    (void)fputs("  ]\n}\n", f);
}

/* ---- Markdown ------------------------------------------------------------ */

/* A table: a row for each racer and number of workers, a column for each point of the group. */
typedef struct table {
    const report *r;
    const char *group, *title; /* group: how its points begin */
    bool (*takes)(const char *point);
} table;

static bool in_table(const table *t, const report_row *row) {
    return strncmp(row->point, t->group, strlen(t->group)) == 0 &&
           (!t->takes || t->takes(row->point));
}

static bool seen_point(const table *t, size_t row) {
    for (size_t i = 0; i < row; i++)
        if (strcmp(t->r->rows[i].point, t->r->rows[row].point) == 0) return true;
    return false;
}

static bool seen_racer(const table *t, size_t row) {
    const report_row *b = &t->r->rows[row];
    for (size_t i = 0; i < row; i++) {
        const report_row *a = &t->r->rows[i];
        if (in_table(t, a) && a->workers == b->workers && strcmp(a->racer, b->racer) == 0)
            return true;
    }
    return false;
}

static void write_cell(FILE *f, const report_row *row) {
    int digits = row && row->least < 99.95 ? 1 : 0;
    if (!row) {
        (void)fputs(" - |", f);
        return;
    }
    fprintf(f, " %.*f / %.*f", digits, row->least, digits, row->median);
    if (row->floor_least > 0) fprintf(f, " (%.2f)", row->least / row->floor_least);
    (void)fputs(" |", f);
}

static void write_line(FILE *f, const table *t, const report_row *of) {
    fprintf(f, of->kind == REPORT_OURS ? "| **%s** | %d |" : "| %s | %d |", of->racer, of->workers);
    for (size_t i = 0; i < t->r->n; i++)
        if (in_table(t, &t->r->rows[i]) && !seen_point(t, i))
            write_cell(f, report_find(t->r, t->r->rows[i].point, of->racer, of->workers));
    (void)fputs("\n", f);
}

/* The column's name, without the part that all columns have. */
static void write_column(FILE *f, const table *t, const char *name) {
    const char *end = t->takes ? strrchr(name, '/') : NULL;
    fprintf(f, " %.*s |", (int)(end ? (size_t)(end - name) : strlen(name)), name);
}

static void write_table(FILE *f, const table *t) {
    size_t columns = 0;
    for (size_t i = 0; i < t->r->n; i++) {
        if (!in_table(t, &t->r->rows[i]) || seen_point(t, i)) continue;
        if (columns++ == 0) fprintf(f, "## %s\n\n| racer | workers |", t->title);
        write_column(f, t, t->r->rows[i].point + strlen(t->group));
    }
    if (columns == 0) return;
    (void)fputs("\n|---|---|", f);
    while (columns-- > 0) (void)fputs("---|", f);
    (void)fputs("\n", f);
    for (size_t i = 0; i < t->r->n; i++)
        if (in_table(t, &t->r->rows[i]) && !seen_racer(t, i)) write_line(f, t, &t->r->rows[i]);
    (void)fputs("\n", f);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

static bool is_control(const char *point) {
    return ends_with(point, "/control");
}

static bool is_tensors(const char *point) {
    return ends_with(point, "/tensors");
}

static void write_goals(FILE *f, const report *r) {
    (void)fputs("## Goals\n\n| goal | value | bound | |\n|---|---|---|---|\n", f);
    for (size_t i = 0; i < r->n_goals; i++) {
        const report_goal_row *g = &r->goals[i];
        fprintf(f, "| %s | %.3g | %s %.3g | %s |\n", g->name, g->value,
                g->at_least ? ">=" : "<=", g->bound, report_goal_holds(g) ? "ok" : "**missed**");
    }
}

/* What huge printed, but for its goals. */
static void write_huge(FILE *f, const report *r) {
    char line[512];
    FILE *from = r->huge ? fopen(r->huge, "r") : NULL;
    if (!from) return;
    (void)fputs("## Compiling large graphs: ns and bytes a node\n\n```\n", f);
    while (fgets(line, sizeof line, from))
        if (strncmp(line, "goal ", 5) != 0) (void)fputs(line, f);
    (void)fputs("```\n\n", f);
    (void)fclose(from);
}

void report_markdown(const report *r, FILE *f) {
    const table tables[] = {
        {r, "empty/", "Empty nodes, control edges: ns a node", is_control},
        {r, "empty/", "Empty nodes, a tensor on every edge: ns a node", is_tensors},
        {r, "work/layer/", "Nodes with work (by their ns), layer: ns a node", NULL},
        {r, "work/dag/", "Nodes with work, dag: ns a node", NULL},
        {r, "work/wave/", "Nodes with work, wave: ns a node", NULL},
        {r, "work/chain/", "Nodes with work, chain: ns a node", NULL},
        {r, "work/fan/", "Nodes with work, fan: ns a node", NULL},
        {r, "work/tiny/", "Nodes with work, tiny: ns a node", NULL},
        {r, "gap/layer/", "Steps with pauses between them (node / pause), layer: ns a node", NULL},
        {r, "gap/dag/", "Steps with pauses, dag: ns a node", NULL},
        {r, "gap/wave/", "Steps with pauses, wave: ns a node", NULL},
        {r, "gap/chain/", "Steps with pauses, chain: ns a node", NULL},
        {r, "gap/fan/", "Steps with pauses, fan: ns a node", NULL},
        {r, "gap/tiny/", "Steps with pauses, tiny: ns a node", NULL},
        {r, "run/", "A whole run of 8 nodes, one feed, one fetch: ns", NULL},
        {r, "feeds/", "A run with so many feeds and fetches: ns", NULL},
        {r, "crossing/", "A crossing between CPU devices (graph / devices / nodes in a row): ns",
         NULL},
        {r, "cut/", "The same, the whole step: ns a node", NULL},
        {r, "pair/", "A send and its recv (order / pairs outstanding): ns", NULL},
        {r, "crowd/", "So many runs at once, of 10 us each: ns a run", NULL},
        {r, "start/", "Build, open and compile 8 nodes: ns", NULL},
    };
    (void)fputs("# Performance: the figures\n\nWritten by `sh tests/bench/run.sh --markdown FILE`; "
                "[performance.md](performance.md) says what they are.\n\n",
                f);
    for (size_t i = 0; i < r->n_notes; i++) fprintf(f, "- %s\n", r->notes[i]);
    (void)fputs("\nA cell is the least / the median (the least as a multiple of the floor's beside "
                "it).\n\n",
                f);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) write_table(f, &tables[i]);
    write_huge(f, r);
    write_goals(f, r);
}
