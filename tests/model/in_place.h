/* SPDX-License-Identifier: MIT
 *
 * in_place.h - memory in which a scene is built anew in place, so that it is part of the scene's
 * state. What is given back is written over, and not given again.
 */
#ifndef MODEL_IN_PLACE_H
#define MODEL_IN_PLACE_H

#include <dataflow/allocator.h>

#include "support/dfs.h"

#include <string.h>

typedef struct in_place {
    unsigned char *bytes;
    size_t size, used, live; /* bytes, bytes, blocks */
} in_place;

DFS_UNWATCHED static void *in_place_take(void *user, size_t bytes, size_t alignment) {
    in_place *a = user;
    size_t at = (a->used + alignment - 1) / alignment * alignment;
    if (at + bytes > a->size) {
        dfs_fail("the memory of the scene is too small");
        return NULL;
    }
    a->used = at + bytes;
    a->live++;
    return a->bytes + at;
}

DFS_UNWATCHED static void in_place_give(void *user, void *block, size_t bytes, size_t alignment) {
    in_place *a = user;
    (void)alignment;
    memset(block, 0xee, bytes);
    a->live--;
}

#define IN_PLACE_ALLOCATOR(a)                                                                      \
    {                                                                                              \
        .struct_size = sizeof(df_allocator), .user = (a), .alloc = in_place_take,                  \
        .free = in_place_give                                                                      \
    }

#endif /* MODEL_IN_PLACE_H */
