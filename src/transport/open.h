/* SPDX-License-Identifier: MIT
 *
 * open.h - what every engine's open begins with.
 */
#ifndef TRANSPORT_OPEN_H
#define TRANSPORT_OPEN_H

#include <dataflow/transport.h>

/* The options and the upcalls that were given, as far as the caller's version knows them.
 * INVALID_ARGUMENT: it is to listen, and an upcall is missing. */
df_code open_read(const df_transport_options *given, df_transport_options *o,
                  df_transport_upcalls *up, df_error *err);

#endif /* TRANSPORT_OPEN_H */
