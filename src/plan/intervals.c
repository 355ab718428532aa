/* SPDX-License-Identifier: MIT */
#include "plan/intervals.h"

#include <stdbool.h>

enum { PIECES = 8 /* of a wide level, for each thread */ };

uint32_t intervals_cut(const interval_item *items, uint32_t n, uint32_t threads, float grain,
                       uint32_t *piece_of) {
    uint32_t piece = 0;
    float gathered = 0; /* work in the current piece */
    for (uint32_t first = 0, end; first < n; first = end) {
        float total = 0;
        for (end = first; end < n && items[end].depth == items[first].depth &&
                          items[end].level == items[first].level;
             end++)
            total += items[end].work;
        bool wide = total >= 2 * grain && end - first > 1;
        bool deeper = first && items[first].depth != items[first - 1].depth;
        if (first && (wide || deeper || gathered >= grain)) {
            piece++;
            gathered = 0;
        }
        float least = total / (float)(PIECES * threads);
        if (least < grain) least = grain;
        for (uint32_t i = first; i < end; i++) {
            if (wide && i > first && gathered >= least) {
                piece++;
                gathered = 0;
            }
            piece_of[i] = piece;
            gathered += items[i].work;
        }
        if (wide && gathered < grain) gathered = grain; /* the next level starts anew */
    }
    return n ? piece + 1 : 0;
}
