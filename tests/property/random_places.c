/* SPDX-License-Identifier: MIT
 *
 * Where the nodes of a random graph must run: pins, whole and partial, and colocation.
 *
 * The choices come from the places' own sequence, and none is made when the graph has
 * no pins.
 */
#include "property/random_graph.h"

#include "graph/graph.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool has_places(const random_graph *g) {
    return g->recipe.placement != 0;
}

static uint32_t root_of(const random_graph *g, uint32_t i) {
    while (g->members[i].group != i) i = g->members[i].group;
    return i;
}

static uint64_t devices_of_kind(const random_graph *g, const char *kind) {
    uint64_t set = 0;
    for (size_t d = 0; d < df_runtime_devices(g->rt); d++)
        if (strcasecmp(df_device_kind(df_runtime_device(g->rt, d)), kind) == 0)
            set |= UINT64_C(1) << d;
    return set;
}

/* A pin, and where it lets a node run. */
static uint64_t random_pin(random_graph *g, char *pin, size_t size) {
    uint32_t d = draw_below(&g->places, df_runtime_devices(g->rt));
    const df_device *device = df_runtime_device(g->rt, d);
    const char *kind = df_device_kind(device), *full = df_device_name(device);
    switch (draw_below(&g->places, 6)) {
    case 0:
        (void)snprintf(pin, size, "/job:localhost");
        return g->devices;
    case 1:
        (void)snprintf(pin, size, "%s", kind);
        return devices_of_kind(g, kind);
    case 2:
        (void)snprintf(pin, size, "%s", full);
        break;
    case 3:
        (void)snprintf(pin, size, "%s", strstr(full, "/device:"));
        break;
    default:
        (void)snprintf(pin, size, "%s", strstr(full, "/device:") + strlen("/device:"));
    }
    return UINT64_C(1) << d;
}

static void wild_pin(random_graph *g) {
    static const char *const pins[] = {"gpu:0", "sim:7", "cpu:9", "/job:worker", "gpu", "cpu:0"};
    if (draw_once_in(&g->places, 30))
        df_graph_on(g->graph, pins[draw_below(&g->places, sizeof pins / sizeof *pins)]);
    if (draw_once_in(&g->places, 400)) df_graph_on(g->graph, "/device:");
}

void places_before(random_graph *g, const df_node *with) {
    if (!has_places(g)) return;
    char pin[128];
    df_graph_scope(g->graph, NULL);
    if (!draw_once_in(&g->places, 3)) {
        uint64_t allowed = random_pin(g, pin, sizeof pin);
        if (with) allowed &= g->members[root_of(g, with->id)].allowed;
        if (allowed || g->recipe.wild) df_graph_on(g->graph, pin);
    }
    if (g->recipe.wild) wild_pin(g);
}

void places_after(random_graph *g) {
    if (has_places(g)) df_graph_scope_end(g->graph);
}

static uint64_t allowed_alone(const random_graph *g, const df_node *n) {
    if (!n->on) return g->devices;
    uint64_t set = 0;
    for (size_t d = 0; d < df_runtime_devices(g->rt); d++) {
        device_name name;
        (void)device_name_parse(df_device_name(df_runtime_device(g->rt, d)), &name, NULL);
        if (device_name_matches(&n->on->device, &name)) set |= UINT64_C(1) << d;
    }
    return set;
}

void places_join(random_graph *g, const df_node *a, const df_node *b) {
    uint32_t x = root_of(g, a->id), y = root_of(g, b->id);
    if (x == y) return;
    g->members[x].group = y;
    g->members[y].allowed &= g->members[x].allowed;
}

void places_colocate(random_graph *g) {
    if (!has_places(g)) return;
    uint32_t last = (uint32_t)g->n_members - 1;
    const df_node *added = df_graph_node(g->graph, last);
    g->members[last].allowed &= allowed_alone(g, added);
    uint32_t root = root_of(g, last);
    if (root != last) g->members[root].allowed &= g->members[last].allowed;
    if (!draw_once_in(&g->places, 10)) return;
    uint32_t other = draw_below(&g->places, g->n_members);
    uint64_t both = g->members[root].allowed & g->members[root_of(g, other)].allowed;
    if (other == last || (!both && !g->recipe.wild)) return;
    df_node *n = df_graph_node(g->graph, last), *with = df_graph_node(g->graph, other);
    bool turned = draw_once_in(&g->places, 2);
    df_colocate(g->graph, turned ? with : n, turned ? n : with);
    places_join(g, n, with);
}
