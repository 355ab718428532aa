/* SPDX-License-Identifier: MIT
 *
 * device_name.h - names of devices, whole and partial.
 *
 * TensorFlow's form (tsl/util/device_name_utils): "/job:worker/task:1/device:GPU:0".
 * A specification may leave any part out; the short forms "gpu:0" and "gpu" leave
 * out all but the kind. "/replica:0" is read, and means nothing here. Kinds are
 * compared without regard to case and printed in upper case.
 */
#ifndef NAME_DEVICE_NAME_H
#define NAME_DEVICE_NAME_H

#include <dataflow/error.h>

#include <stdbool.h>

enum { DEVICE_JOB_MAX = 63, DEVICE_KIND_MAX = 15, DEVICE_NAME_MAX = 160 };

/* A specification: a part that is not there is "" or -1. It is a full name if all
 * four are there. A value: copied freely. */
typedef struct device_name {
    char job[DEVICE_JOB_MAX + 1];
    int task;
    char kind[DEVICE_KIND_MAX + 1]; /* upper case */
    int index;
} device_name;

/* The specification that leaves everything out. */
device_name device_name_any(void);

/* Reads any of the forms above; NULL and "" give device_name_any(). "*" for kind or
 * index means "left out". A total function: whatever the text, DF_OK or
 * INVALID_ARGUMENT with the text and what would be right. */
df_code device_name_parse(const char *text, device_name *out, df_error *err);

/* Writes "/job:J/task:T/device:KIND:I" with the parts that are there ("" if none);
 * a kind without index is "/device:KIND:*"; an index without kind "/device:*:I".
 * Returns the length; `size` of DEVICE_NAME_MAX always suffices. Parsing what was
 * written gives the same specification. */
size_t device_name_print(const device_name *name, char *buffer, size_t size);

/* The short form for people: "cpu:0" if job and task are those of `local`, else
 * the whole name. */
size_t device_name_print_short(const device_name *name, const device_name *local, char *buffer,
                               size_t size);

bool device_name_is_full(const device_name *name);
bool device_name_equal(const device_name *a, const device_name *b);

/* True if the full name `device` has every part that `spec` has. */
bool device_name_matches(const device_name *spec, const device_name *device);

/* Parts of `inner` where it has them, else those of `outer`: nested scopes. */
device_name device_name_over(const device_name *inner, const device_name *outer);

#endif /* NAME_DEVICE_NAME_H */
