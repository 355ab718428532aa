/* SPDX-License-Identifier: MIT
 *
 * net_life.h - what an endpoint of a net is told, and what is looked at when it is over.
 */
#ifndef CONFORMANCE_NET_LIFE_H
#define CONFORMANCE_NET_LIFE_H

#include "net.h"

df_code net_on_request(void *user, df_request *request, df_segments *place, df_error *err);
void net_on_payload(void *user, df_request *request, const df_error *err);
void net_on_gone(void *user, df_request *request);

void net_look_at_call(net *n, const net_call *c);
void net_look_at_request(net *n, const net_request *r);

#endif /* CONFORMANCE_NET_LIFE_H */
