/* SPDX-License-Identifier: MIT
 *
 * deliver.h - a tensor has come for a recv: it is moved to where it is wanted, and the recv
 * ends. df_recv_finish is the same for backends, whose mistakes it answers.
 */
#ifndef RENDEZVOUS_DELIVER_H
#define RENDEZVOUS_DELIVER_H

#include "rendezvous/object.h"

/* Moves the tensor, which is taken, from *from to where the recv wants it. As for every end,
 * the caller touches neither the recv nor the backend afterwards. */
void deliver_value(df_recv *r, const df_endpoint *from, df_tensor *tensor);

#endif /* RENDEZVOUS_DELIVER_H */
