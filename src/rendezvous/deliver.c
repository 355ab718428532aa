/* SPDX-License-Identifier: MIT */
#include "rendezvous/deliver.h"

#include "rendezvous/finish.h"
#include "rendezvous/intra.h"

enum { KEY_WORDS = 256 }; /* of a key's text in a message */

void deliver_value(df_recv *r, const df_endpoint *from, df_tensor *tensor) {
    if (intra_is_handoff(from, &r->to, tensor))
        finish_arrived(r, tensor);
    else
        intra_move(r, from, tensor);
}

static void misused(df_recv *r, df_code code, const char *what) {
    char text[KEY_WORDS];
    df_error err;
    (void)df_key_text(r->key, text, sizeof text);
    (void)error_set(&err, code, "key %s: the rendezvous \"%s\" finished a recv with %s", text,
                    recv_words_of(r)->owner->ops->name, what);
    finish_error(r, &err);
}

void df_recv_finish(df_recv *r, const df_error *err, const df_endpoint *from, df_tensor *tensor) {
    static const df_endpoint host = {.memory = DF_MEMORY_HOST};
    recv_words *w = r ? recv_words_of(r) : NULL;
    uintptr_t open = 0;
    /* Relaxed: whoever comes second does nothing, and leaves what there is. A recv that was never
     * submitted has no owner, and nobody waits for its end. */
    if (!w || !w->owner || !atomic_cas(&w->is_over, &open, RECV_OVER, RELAXED, RELAXED)) {
        df_tensor_unref(tensor);
        return;
    }
    if (!from) from = &host;
    if (err || !tensor) {
        df_tensor_unref(tensor);
        if (!err)
            misused(r, DF_INTERNAL, "neither an error nor a tensor");
        else if (err->code == DF_OK)
            misused(r, DF_INTERNAL, "an error of code OK; pass NULL and a tensor");
        else
            finish_error(r, err);
    } else if (!intra_is_place_of(from, tensor)) {
        df_tensor_unref(tensor);
        misused(r, DF_INVALID_ARGUMENT,
                "a tensor in device memory whose endpoint does not name that device");
    } else {
        deliver_value(r, from, tensor);
    }
}
