/* SPDX-License-Identifier: MIT */
#include "process/sides.h"

#include <stdio.h>

static df_code on_request(void *user, df_request *request, df_segments *place, df_error *err) {
    static char sink[1 << 19]; /* nobody looks at what comes */
    meeting *m = user;
    if (request->arrival.payload_bytes > sizeof sink)
        return df_error_set(err, DF_INVALID_ARGUMENT, "the test sends too much");
    m->requests++;
    m->place = (df_segment){.at = sink, .bytes = request->arrival.payload_bytes};
    (void)snprintf(m->identity, sizeof m->identity, "%s",
                   request->identity ? request->identity : "");
    *place = (df_segments){&m->place, 1};
    return DF_OK;
}

static void released(df_reply *reply) {
    (void)reply;
}

static void on_payload(void *user, df_request *request, const df_error *err) {
    meeting *m = user;
    if (err) return;
    m->reply = (df_reply){
        .struct_size = sizeof m->reply, .message = {"", 0, {NULL, 0}}, .release = released};
    m->called.ops.reply(request, &m->reply);
}

static void on_gone(void *user, df_request *request) {
    (void)user;
    (void)request;
}

df_code side_open(side *s, const char *address, meeting *m, df_error *err) {
    const df_transport_upcalls up = {.struct_size = sizeof up,
                                     .user = m,
                                     .on_request = on_request,
                                     .on_payload = on_payload,
                                     .on_gone = on_gone};
    const df_transport_options o = {
        .struct_size = sizeof o, .address = address, .upcalls = &up, .allocator = s->allocator};
    s->traits = (df_transport_traits){.struct_size = sizeof s->traits};
    return s->ops.open(s->ops.user, &o, &s->transport, &s->traits, err);
}

void side_shut(side *s) {
    if (s->transport) s->ops.close(s->transport);
    s->transport = NULL;
}

typedef struct asked {
    df_call call; /* first */
    told told;
} asked;

df_code side_no_place(df_call *call, const df_arrival *reply, df_segments *place, df_error *err) {
    (void)call;
    (void)reply;
    (void)err;
    *place = (df_segments){NULL, 0};
    return DF_OK;
}

static void asked_done(df_call *call, const df_error *err) {
    tell(&((asked *)(void *)call)->told, err, NULL, 0);
}

df_code side_ask_peer(side *from, void *peer, df_segments payload, df_error *err) {
    asked a = {.call = {.struct_size = sizeof a.call,
                        .request = {"", 0, payload},
                        .on_meta = side_no_place,
                        .done = asked_done}};
    told_init(&a.told);
    from->ops.call(peer, &a.call);
    told_await(&a.told, NULL);
    *err = a.told.err;
    told_fini(&a.told);
    return err->code;
}

df_code side_ask_with(side *from, const char *address, df_segments payload, df_error *err) {
    void *peer;
    df_code code = from->ops.peer(from->transport, address, &peer, err);
    return code == DF_OK ? side_ask_peer(from, peer, payload, err) : code;
}

df_code side_ask(side *from, const char *address, df_error *err) {
    return side_ask_with(from, address, (df_segments){NULL, 0}, err);
}
