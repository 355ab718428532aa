/* SPDX-License-Identifier: MIT
 *
 * The report as a picture: what an empty node costs, by racer (rows) and shape (columns), once with
 * control edges and once with tensors, on a scale of powers of ten.
 */
#include "bench/speed/report.h"

#include <math.h>
#include <string.h>

#include "bench/speed/shapes.h"

enum { LABELS = 140, PANEL = 190, APART = 14, ROW = 18, HEAD = 64, TITLE = 40, RACERS = 48 };

typedef struct plot {
    const report *r;
    FILE *f;
    const report_row *racers[RACERS]; /* one row of each */
    int n;
    double from, to; /* powers of ten */
} plot;

static bool is_shown(const report_row *row) {
    return strncmp(row->point, "empty/", 6) == 0 && row->workers == 1;
}

static bool has_racer(const plot *p, const char *name) {
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->racers[i]->racer, name) == 0) return true;
    return false;
}

/* Floors, ours, peers; and those by name. */
static bool is_before(const report_row *a, const report_row *b) {
    static const int order[] = {[REPORT_OURS] = 1, [REPORT_FLOOR] = 0, [REPORT_PEER] = 2};
    if (a->kind != b->kind) return order[a->kind] < order[b->kind];
    return a->kind == REPORT_PEER && strcmp(a->racer, b->racer) < 0;
}

static void add_racer(plot *p, const report_row *row) {
    int at = p->n++;
    for (; at > 0 && is_before(row, p->racers[at - 1]); at--) p->racers[at] = p->racers[at - 1];
    p->racers[at] = row;
}

static void look(plot *p) {
    p->from = 0, p->to = 2;
    for (size_t i = 0; i < p->r->n; i++) {
        const report_row *row = &p->r->rows[i];
        if (!is_shown(row)) continue;
        double power = log10(row->least);
        if (power < p->from) p->from = floor(power);
        if (power > p->to) p->to = ceil(power);
        if (p->n < RACERS && !has_racer(p, row->racer)) add_racer(p, row);
    }
}

static double x_of(const plot *p, double ns) {
    const double room = PANEL - APART - 38; /* for the number behind the bar */
    return room * (log10(ns) - p->from) / (p->to - p->from);
}

static void draw_scale(const plot *p, double left, double top) {
    for (double power = p->from; power <= p->to; power++) {
        double x = left + x_of(p, pow(10, power));
        fprintf(p->f, "<line x1='%.1f' y1='%.0f' x2='%.1f' y2='%.0f' stroke='#ddd'/>\n", x, top, x,
                top + ROW * p->n);
        fprintf(p->f, "<text x='%.1f' y='%.0f' class='small' text-anchor='middle'>%g%s</text>\n", x,
                top + ROW * p->n + 12, pow(10, power < 3 ? power : power - 3),
                power < 3 ? "" : "k");
    }
}

static void draw_bar(const plot *p, const char *point, int i, double left, double top) {
    static const char *const colours[] = {"#1565c0", "#9e9e9e", "#ef8f35"};
    const report_row *row = report_find(p->r, point, p->racers[i]->racer, 1);
    double y = top + ROW * i;
    if (!row || row->least <= 0) return;
    double wide = x_of(p, row->least);
    fprintf(p->f, "<rect x='%.1f' y='%.1f' width='%.1f' height='%d' fill='%s'/>\n", left, y + 3,
            wide < 1 ? 1 : wide, ROW - 6, colours[row->kind]);
    fprintf(p->f, "<text x='%.1f' y='%.1f' class='small'>%.*f</text>\n", left + wide + 3, y + 13,
            row->least < 10 ? 1 : 0, row->least);
}

static void draw_panel(const plot *p, const char *graph, const char *carries, double left,
                       double top) {
    char point[64];
    (void)snprintf(point, sizeof point, "empty/%s/%s", graph, carries);
    draw_scale(p, left, top);
    for (int i = 0; i < p->n; i++) draw_bar(p, point, i, left, top);
}

static void draw_band(const plot *p, const char *title, const char *carries, double top) {
    fprintf(p->f, "<text x='8' y='%.0f' class='title'>%s</text>\n", top - 22, title);
    for (int i = 0; i < p->n; i++)
        fprintf(p->f, "<text x='%d' y='%.0f' text-anchor='end'%s>%s</text>\n", LABELS - 8,
                top + ROW * i + 13, p->racers[i]->kind == REPORT_OURS ? " font-weight='bold'" : "",
                p->racers[i]->racer);
    for (int g = 0; g < SHAPES; g++) {
        fprintf(p->f, "<text x='%d' y='%.0f' font-weight='bold'>%s</text>\n", LABELS + PANEL * g,
                top - 6, shape_names[g]);
        draw_panel(p, shape_names[g], carries, LABELS + PANEL * g, top);
    }
}

void report_svg(const report *r, FILE *f) {
    plot p = {.r = r, .f = f};
    look(&p);
    int band = TITLE + ROW * p.n + 30, width = LABELS + PANEL * SHAPES, height = HEAD + 2 * band;
    fprintf(f,
            "<svg xmlns='http://www.w3.org/2000/svg' width='%d' height='%d' "
            "font-family='sans-serif' font-size='12'>\n",
            width, height);
    (void)fputs("<style>.small { font-size: 10px } .title { font-size: 14px; font-weight: bold }"
                "</style>\n<rect width='100%' height='100%' fill='white'/>\n",
                f);
    (void)fputs("<text x='8' y='24' font-size='16'>What an empty node costs: ns, the least of all "
                "samples, one worker, powers of ten</text>\n",
                f);
    draw_band(&p, "Control edges alone", "control", HEAD + TITLE - 20);
    draw_band(&p, "A tensor on every edge", "tensors", HEAD + TITLE - 20 + band);
    (void)fputs("</svg>\n", f);
}
