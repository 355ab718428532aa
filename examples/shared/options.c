/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "model.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef EXAMPLES_DATA
#define EXAMPLES_DATA "examples/data"
#endif

static const char help[] =
    "%s [OPTION]... - %s\n"
    "\n"
    "  --devices %s\n"
    "                   %s\n"
    "                   any CPU or simulated accelerator for each: cpu:0, cpu:1, sim:0, sim:1\n"
    "  --workers N      threads besides the calling one (0)\n"
    "  --processes N    so many more: each device in another one, reached by gRPC (0)\n"
    "  --epochs N       how often to go through the images (%d)\n"
    "  --batch N        images a step (32)\n"
    "  --hidden N       %s (%d)\n"
    "  --seed N         of the shuffles and the first weights (1)\n"
    "  --data FILE      the images (" EXAMPLES_DATA "/digits.csv)\n"
    "  --save FILE      save there after each epoch\n"
    "  --resume FILE    go on from there, up to --epochs; everything but devices and workers as "
    "it\n"
    "                   was then\n"
    "  --partitions     show what the training graph became\n"
    "  --explain        show why: the rule behind each node's place and each copy\n"
    "  --dot FILE       draw it there when it has run: dot -Tsvg FILE -o picture.svg\n"
    "  --help           this\n"
    "\n"
    "The bits of loss and weights depend on neither devices nor workers. Ends with 1 if fewer\n"
    "than %d%% of the images that were held out are read correctly.\n";

static void show_help(void) {
    printf(help, model_is.program, model_is.what, model_is.n_devices == 2 ? "A,B" : "A,B,C",
           model_is.device_help, model_is.epochs, model_is.hidden_help, model_is.hidden,
           model_is.good_enough / 10);
}

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
    for (int i = 0; i < model_is.n_devices; i++) {
        size_t length = strcspn(text, ",");
        bool last = i + 1 == model_is.n_devices;
        if ((text[length] == '\0') != last || !read_device(&o->roles[i], text, length))
            return false;
        text += length + !last;
    }
    return true;
}

/* ---- the runtime's list -------------------------------------------------- */

/* How many devices of this kind it takes to have all. */
static int number_of(const options *o, const char *kind) {
    int n = 0;
    for (int i = 0; i < model_is.n_devices; i++)
        if (!strcmp(o->roles[i].kind, kind) && o->roles[i].index >= n) n = o->roles[i].index + 1;
    return n;
}

/* There is always a CPU: feeds and fetches are there. */
static void list_devices(options *o) {
    int cpus = number_of(o, "cpu");
    int used = snprintf(o->devices, sizeof o->devices, "cpu:%d", cpus ? cpus : 1);
    for (int i = 0; i < model_is.n_devices; i++) {
        const char *kind = o->roles[i].kind;
        bool listed = !strcmp(kind, "cpu");
        for (int j = 0; j < i; j++) listed |= !strcmp(o->roles[j].kind, kind);
        if (!listed)
            used += snprintf(o->devices + used, sizeof o->devices - (size_t)used, ",%s:%d", kind,
                             number_of(o, kind));
    }
}

/* ---- the command line ---------------------------------------------------- */

static bool read_file(options *o, const char *name, const char *value) {
    const char **file = NULL;
    if (!strcmp(name, "--data")) file = &o->data;
    if (!strcmp(name, "--dot")) file = &o->dot;
    if (!strcmp(name, "--save")) file = &o->save;
    if (!strcmp(name, "--resume")) file = &o->resume;
    if (!file) return false;
    *file = value;
    return true;
}

static bool read_option(options *o, const char *name, const char *value) {
    if (!strcmp(name, "--devices")) return read_devices(o, value);
    if (!strcmp(name, "--workers")) return read_int(value, 0, 256, &o->workers);
    if (!strcmp(name, "--processes")) return read_int(value, 0, OPTIONS_PROCESSES, &o->processes);
    if (!strcmp(name, "--epochs")) return read_int(value, 1, 100000, &o->epochs);
    if (!strcmp(name, "--batch")) return read_int(value, 1, 1000, &o->batch);
    if (!strcmp(name, "--hidden")) return read_int(value, 1, 4096, &o->hidden);
    if (!strcmp(name, "--seed")) return read_int(value, 0, INT_MAX, &o->seed);
    return read_file(o, name, value);
}

static options_result wrong(const char *name, const char *value) {
    fprintf(stderr, "%s: cannot use %s%s%s; see --help\n", model_is.program, name, value ? " " : "",
            value ? value : "");
    return OPTIONS_WRONG;
}

/* The first device is the first process's, and so on, round and round. */
static void spread(options *o) {
    for (int i = 0; i < model_is.n_devices; i++) {
        device_option *d = &o->roles[i];
        (void)snprintf(d->name, sizeof d->name, "/job:worker/task:%d/device:%s:%d",
                       i % o->processes, d->kind, d->index);
    }
}

options_result options_read(options *o, int argc, char **argv) {
    *o = (options){.epochs = model_is.epochs, .batch = 32, .hidden = model_is.hidden, .seed = 1};
    o->data = EXAMPLES_DATA "/digits.csv";
    (void)read_devices(o, model_is.devices);
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--help")) {
            show_help();
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
    if (o->processes) spread(o);
    return OPTIONS_OK;
}
