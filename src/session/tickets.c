/* SPDX-License-Identifier: MIT */
#include "session/tickets.h"

bool tickets_init(tickets *t) {
    *t = (tickets){.first = NULL};
    if (!mutex_init(&t->lock)) return false;
    if (condition_init(&t->changed)) return true;
    mutex_fini(&t->lock);
    return false;
}

void tickets_fini(tickets *t) {
    condition_fini(&t->changed);
    mutex_fini(&t->lock);
}

static bool conflict(const touches *a, const touches *b) {
    for (size_t i = 0; i < a->words; i++) {
        uint64_t all_b = b->reads[i] | b->writes[i];
        if ((a->writes[i] & all_b) || (a->reads[i] & b->writes[i])) return true;
    }
    return false;
}

static bool is_my_turn_locked(const tickets *t, const ticket *mine) {
    for (const ticket *e = t->first; e != mine; e = e->next)
        if (conflict(e->what, mine->what)) return false;
    return true;
}

void tickets_take(tickets *t, ticket *mine, const touches *what) {
    *mine = (ticket){.what = what};
    if (!what->any) return;
    mutex_lock(&t->lock);
    if (t->last)
        t->last->next = mine;
    else
        t->first = mine;
    t->last = mine;
    while (!is_my_turn_locked(t, mine)) condition_wait(&t->changed, &t->lock);
    mutex_unlock(&t->lock);
}

void tickets_give(tickets *t, ticket *mine) {
    if (!mine->what->any) return;
    mutex_lock(&t->lock);
    ticket **link = &t->first, *before = NULL;
    while (*link != mine) {
        before = *link;
        link = &(*link)->next;
    }
    *link = mine->next;
    if (t->last == mine) t->last = before;
    condition_broadcast(&t->changed);
    mutex_unlock(&t->lock);
}
