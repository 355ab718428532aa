/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L /* clock_gettime, isatty */

#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double report_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void report_epoch(int epoch, int epochs, double loss) {
    static const char full[] = "##############################";
    enum { WIDTH = sizeof full - 1 };
    if (!isatty(STDOUT_FILENO)) {
        printf("epoch %d of %d  loss %.4f\n", epoch, epochs, loss);
        return;
    }
    int done = epoch * WIDTH / epochs;
    printf("\r[%.*s%*s] epoch %d of %d  loss %.4f", done, full, WIDTH - done, "", epoch, epochs,
           loss);
    if (epoch == epochs) printf("\n");
    fflush(stdout);
}

/* ---- a program ----------------------------------------------------------- */

static int count(const df_graph *partition, const char *op) {
    int n = 0;
    for (size_t i = 0; i < df_graph_nodes(partition); i++)
        n += !strcmp(df_node_op(df_graph_node(partition, i)), op);
    return n;
}

static void report_devices(const df_program *program) {
    printf("\n%5s %5s %5s  %s\n", "nodes", "Send", "Recv", "device");
    for (size_t i = 0; i < df_program_partitions(program); i++) {
        const df_graph *partition = df_program_partition(program, i);
        printf("%5zu %5d %5d  %s\n", df_graph_nodes(partition), count(partition, "Send"),
               count(partition, "Recv"), df_device_name(df_program_partition_device(program, i)));
    }
}

static void report_crossings(const df_program *program, uint64_t steps) {
    df_crossing crossing;
    uint64_t transfers = 0, bytes = 0;
    char key[512];
    printf("\n%9s %10s  %s\n", "transfers", "bytes/step", "crossing");
    for (size_t i = 0; df_program_crossing(program, i, &crossing); i++) {
        (void)df_key_text(crossing.key, key, sizeof key);
        printf("%9" PRIu64 " %10" PRIu64 "  %s\n", crossing.transfers, crossing.bytes / steps, key);
        transfers += crossing.transfers;
        bytes += crossing.bytes;
    }
    printf("%9" PRIu64 " %10" PRIu64 "  in all\n\n", transfers, bytes / steps);
}

void report_program(const df_program *program, uint64_t steps) {
    report_devices(program);
    report_crossings(program, steps);
}

bool report_partitions(const df_program *program) {
    size_t size = df_program_print(program, NULL, 0) + 1;
    char *text = malloc(size);
    if (!text) return false;
    (void)df_program_print(program, text, size);
    printf("%s\n", text);
    free(text);
    return true;
}

bool report_explanation(const df_program *program) {
    size_t size = df_program_explain(program, DF_EXPLAIN_TEXT, NULL, 0) + 1;
    char *text = malloc(size);
    bool ok = text && df_program_explain(program, DF_EXPLAIN_TEXT, text, size) > 0;
    if (ok) printf("%s\n", text);
    free(text);
    return ok;
}

bool report_dot(const df_program *program, const char *path) {
    size_t size = df_program_dot(program, NULL, 0) + 1;
    char *text = malloc(size);
    if (!text) return false;
    size_t length = df_program_dot(program, text, size);
    FILE *file = length < size ? fopen(path, "w") : NULL;
    bool written = file && fwrite(text, 1, length, file) == length;
    if (file && fclose(file)) written = false;
    free(text);
    return written;
}
