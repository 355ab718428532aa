/* SPDX-License-Identifier: MIT */
#include "exec/tickets.h"

#include "base/sched.h"

bool tickets_init(tickets *t) {
    *t = (tickets){.first = NULL};
    if (!mutex_init(&t->lock)) return false;
    if (condition_init(&t->called)) return true;
    mutex_fini(&t->lock);
    return false;
}

void tickets_fini(tickets *t) {
    condition_fini(&t->called);
    mutex_fini(&t->lock);
}

static bool conflict(const touches *a, const touches *b) {
    for (size_t i = 0; i < a->words; i++) {
        uint64_t all_b = b->reads[i] | b->writes[i];
        if ((a->writes[i] & all_b) || (a->reads[i] & b->writes[i])) return true;
    }
    return false;
}

/* The first that is in the way; NULL: none. */
static const ticket *obstacle_locked(const tickets *t, const ticket *mine) {
    for (const ticket *e = t->first; e != mine; e = e->next)
        if (conflict(e->what, mine->what)) return e;
    return NULL;
}

static void unlink_locked(tickets *t, ticket *mine) DF_REQUIRES(&t->lock) {
    if (!mine->in_line) return;
    mine->in_line = false;
    *(mine->before ? &mine->before->next : &t->first) = mine->next;
    *(mine->next ? &mine->next->before : &t->last) = mine->before;
}

/* Those whose turn has come, as a list in their order, without those who sleep. */
static ticket *call_locked(tickets *t) DF_REQUIRES(&t->lock) {
    ticket *told = NULL, **end = &told;
    for (ticket *e = t->first; e; e = e->next) {
        if (e->state != TICKET_IN_LINE || obstacle_locked(t, e)) continue;
        e->state = TICKET_TURN;
        if (!e->turn) {
            condition_broadcast(&t->called);
            continue;
        }
        *end = e;
        end = &e->next_told;
    }
    return told;
}

/* Who is told may be gone at once. */
static void tell(ticket *told) {
    while (told) {
        ticket *next = told->next_told;
        DF_SCHED_POINT();
        told->turn(told);
        told = next;
    }
}

static bool take_locked(tickets *t, ticket *mine) DF_REQUIRES(&t->lock) {
    if (mine->state != TICKET_NONE) return false;
    mine->before = t->last;
    *(t->last ? &t->last->next : &t->first) = mine;
    t->last = mine;
    mine->in_line = true;
    mine->state = obstacle_locked(t, mine) ? TICKET_IN_LINE : TICKET_TURN;
    return mine->state == TICKET_TURN;
}

bool tickets_take(tickets *t, ticket *mine) {
    if (!ticket_is_needed(mine)) return true;
    mutex_lock(&t->lock);
    bool is_mine = take_locked(t, mine);
    mutex_unlock(&t->lock);
    return is_mine;
}

void tickets_wait(tickets *t, ticket *mine) {
    if (!ticket_is_needed(mine)) return;
    mutex_lock(&t->lock);
    (void)take_locked(t, mine);
    while (mine->state != TICKET_TURN) condition_wait(&t->called, &t->lock);
    mutex_unlock(&t->lock);
}

bool tickets_withdraw(tickets *t, ticket *mine) {
    if (!ticket_is_needed(mine)) return false;
    mutex_lock(&t->lock);
    bool waits = mine->state == TICKET_NONE || mine->state == TICKET_IN_LINE;
    if (waits) mine->state = TICKET_WITHDRAWN;
    if (waits) unlink_locked(t, mine);
    ticket *told = waits ? call_locked(t) : NULL;
    mutex_unlock(&t->lock);
    tell(told);
    return waits;
}

void tickets_give(tickets *t, ticket *mine) {
    if (!ticket_is_needed(mine)) return;
    mutex_lock(&t->lock);
    unlink_locked(t, mine);
    ticket *told = call_locked(t);
    mutex_unlock(&t->lock);
    tell(told);
}

bool tickets_waits(tickets *t, const ticket *mine, uint64_t *program, uint64_t *number) {
    mutex_lock(&t->lock);
    const ticket *e = mine->state == TICKET_IN_LINE ? obstacle_locked(t, mine) : NULL;
    if (e) {
        *program = e->program;
        *number = e->number;
    }
    mutex_unlock(&t->lock);
    return e != NULL;
}
