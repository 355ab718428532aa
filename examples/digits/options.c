/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef EXAMPLES_DATA
#define EXAMPLES_DATA "examples/data"
#endif

static const char help[] =
    "digits [OPTION]... - trains a classifier of handwritten digits on two devices\n"
    "\n"
    "  --devices A,B    A: input, loss, parameters, updates; B: the layers (cpu:0,sim:0)\n"
    "                   any CPU or simulated accelerator: cpu:0,cpu:1  cpu:0,cpu:0  sim:0,sim:1\n"
    "  --workers N      threads besides the calling one (0)\n"
    "  --epochs N       how often to go through the images (30)\n"
    "  --batch N        images a step (32)\n"
    "  --hidden N       units of the hidden layer (64)\n"
    "  --seed N         of the shuffles and the first weights (1)\n"
    "  --data FILE      the images (" EXAMPLES_DATA "/digits.csv)\n"
    "  --partitions     show what the training graph became\n"
    "  --explain        show why: the rule behind each node's place and each copy\n"
    "  --dot FILE       draw it there when it has run: dot -Tsvg FILE -o digits.svg\n"
    "  --help           this\n"
    "\n"
    "The bits of loss and weights depend on neither devices nor workers. Ends with 1 if fewer\n"
    "than 95% of the images that were held out are read correctly.\n";

/* ---- values -------------------------------------------------------------- */

static bool read_int(const char *text, int min, int max, int *out) {
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < min || value > max) return false;
    *out = (int)value;
    return true;
}

/* "cpu:0": what the kinds are is the runtime's business. */
static bool read_device(device_option *d, const char *text, size_t length) {
    if (length >= sizeof d->name) return false;
    for (size_t i = 0; i < length; i++) d->name[i] = (char)tolower((unsigned char)text[i]);
    d->name[length] = 0;
    const char *colon = strchr(d->name, ':');
    if (!colon || colon == d->name || (size_t)(colon - d->name) >= sizeof d->kind) return false;
    memset(d->kind, 0, sizeof d->kind);
    memcpy(d->kind, d->name, (size_t)(colon - d->name));
    return read_int(colon + 1, 0, 15, &d->index);
}

static bool read_devices(options *o, const char *text) {
    const char *comma = strchr(text, ',');
    return comma && read_device(&o->home, text, (size_t)(comma - text)) &&
           read_device(&o->matrix, comma + 1, strlen(comma + 1));
}

/* ---- the runtime's list -------------------------------------------------- */

/* How many devices of this kind it takes to have both. */
static int number_of(const options *o, const char *kind) {
    int n = 0;
    if (!strcmp(o->home.kind, kind)) n = o->home.index + 1;
    if (!strcmp(o->matrix.kind, kind) && o->matrix.index >= n) n = o->matrix.index + 1;
    return n;
}

/* There is always a CPU: feeds and fetches are there. */
static void list_devices(options *o) {
    int cpus = number_of(o, "cpu");
    int used = snprintf(o->devices, sizeof o->devices, "cpu:%d", cpus ? cpus : 1);
    const char *kinds[] = {o->home.kind, o->matrix.kind};
    for (int i = 0; i < 2; i++) {
        if (!strcmp(kinds[i], "cpu") || (i && !strcmp(kinds[0], kinds[1]))) continue;
        used += snprintf(o->devices + used, sizeof o->devices - (size_t)used, ",%s:%d", kinds[i],
                         number_of(o, kinds[i]));
    }
}

/* ---- the command line ---------------------------------------------------- */

static bool read_option(options *o, const char *name, const char *value) {
    if (!strcmp(name, "--devices")) return read_devices(o, value);
    if (!strcmp(name, "--workers")) return read_int(value, 0, 256, &o->workers);
    if (!strcmp(name, "--epochs")) return read_int(value, 1, 100000, &o->epochs);
    if (!strcmp(name, "--batch")) return read_int(value, 1, 1000, &o->batch);
    if (!strcmp(name, "--hidden")) return read_int(value, 1, 4096, &o->hidden);
    if (!strcmp(name, "--seed")) return read_int(value, 0, INT_MAX, &o->seed);
    const char **file = !strcmp(name, "--data") ? &o->data : &o->dot;
    if (file == &o->dot && strcmp(name, "--dot")) return false;
    *file = value;
    return true;
}

static options_result wrong(const char *name, const char *value) {
    fprintf(stderr, "digits: cannot use %s%s%s; see --help\n", name, value ? " " : "",
            value ? value : "");
    return OPTIONS_WRONG;
}

options_result options_read(options *o, int argc, char **argv) {
    *o = (options){.epochs = 30, .batch = 32, .hidden = 64, .seed = 1};
    o->data = EXAMPLES_DATA "/digits.csv";
    (void)read_devices(o, "cpu:0,sim:0");
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            fputs(help, stdout);
            return OPTIONS_HELP;
        }
        if (!strcmp(argv[i], "--partitions")) {
            o->show_partitions = true;
            continue;
        }
        if (!strcmp(argv[i], "--explain")) {
            o->explain = true;
            continue;
        }
        const char *value = argv[i + 1]; /* NULL after the last */
        if (!value || !read_option(o, argv[i], value)) return wrong(argv[i], value);
        i++;
    }
    list_devices(o);
    return OPTIONS_OK;
}
