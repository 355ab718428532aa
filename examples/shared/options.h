/* SPDX-License-Identifier: MIT
 *
 * options.h - the command line.
 */
#ifndef SHARED_OPTIONS_H
#define SHARED_OPTIONS_H

#include <stdbool.h>

/* A device as the user names it: "cpu:0". */
typedef struct device_option {
    char name[64]; /* with --processes "/job:worker/task:1/device:cpu:0" */
    char kind[16];
    int index;
} device_option;

enum { OPTIONS_DEVICES = 3, OPTIONS_PROCESSES = 8 };

typedef struct options {
    device_option roles[OPTIONS_DEVICES]; /* as many as the model has; home first */
    char devices[64];                     /* the runtime's list that has all: "cpu:1,sim:1" */
    int workers;
    int processes; /* 0: this one alone */
    int epochs;
    int hidden;
    int batch;
    int seed;
    bool show_partitions, explain;
    const char *data;
    const char *dot;           /* where to draw what ran; NULL: nowhere */
    const char *save, *resume; /* files; NULL: none */
} options;

typedef enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG } options_result;

/* Reads the command line into *o, over the defaults. Prints help or what is wrong. */
options_result options_read(options *o, int argc, char **argv);

#endif /* SHARED_OPTIONS_H */
