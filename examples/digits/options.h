/* SPDX-License-Identifier: MIT
 *
 * options.h - the command line.
 */
#ifndef DIGITS_OPTIONS_H
#define DIGITS_OPTIONS_H

#include <stdbool.h>

/* A device as the user names it: "cpu:0". */
typedef struct device_option {
    char name[32];
    char kind[16];
    int index;
} device_option;

typedef struct options {
    device_option home;   /* input, loss, parameters and their updates */
    device_option matrix; /* the layers, forward and backward */
    char devices[64];     /* the list for the runtime that has both: "cpu:1,sim:1" */
    int workers;
    int epochs;
    int hidden;
    int batch;
    int seed;
    bool show_partitions, explain;
    const char *data;
    const char *dot; /* where to draw what ran; NULL: nowhere */
} options;

typedef enum options_result { OPTIONS_OK, OPTIONS_HELP, OPTIONS_WRONG } options_result;

/* Reads the command line into *o, over the defaults. Prints help or what is wrong. */
options_result options_read(options *o, int argc, char **argv);

#endif /* DIGITS_OPTIONS_H */
