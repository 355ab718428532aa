/* SPDX-License-Identifier: MIT
 *
 * report.h - what the program shows: progress, where things ran, what crossed.
 */
#ifndef DIGITS_REPORT_H
#define DIGITS_REPORT_H

#include <dataflow/dataflow.h>

/* Seconds on a clock that nobody sets. */
double report_clock(void);

/* The end of an epoch, from 1: a bar on a terminal, otherwise a line. */
void report_epoch(int epoch, int epochs, double loss);

/* For each device what runs there, for each crossing what travelled in `steps` steps. */
void report_program(const df_program *program, uint64_t steps);

/* The partitions as text. False without memory. */
bool report_partitions(const df_program *program);

/* Why they are so, as text. False without memory. */
bool report_explanation(const df_program *program);

/* The partitions as a picture for Graphviz, into a file. False if it cannot be written. */
bool report_dot(const df_program *program, const char *path);

#endif /* DIGITS_REPORT_H */
