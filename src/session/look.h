/* SPDX-License-Identifier: MIT */
#ifndef SESSION_LOOK_H
#define SESSION_LOOK_H

#include <dataflow/partition.h>

#include "base/text.h"

/* The program as one picture, in the language of Graphviz's dot. */
void look_draw(text *t, const df_program *program);

#endif /* SESSION_LOOK_H */
