/* SPDX-License-Identifier: MIT
 *
 * address.h - "scheme://host:port", of engines over networks.
 */
#ifndef TRANSPORT_ADDRESS_H
#define TRANSPORT_ADDRESS_H

#include <dataflow/transport.h>

/* "host:port", as gRPC and resolvers take it: what follows the scheme. INVALID_ARGUMENT: it is
 * none. */
df_code address_read(const char *scheme, const char *address, const char **target, df_error *err);

/* The host without port and brackets. */
void address_host(const char *target, char host[DF_ADDRESS_MAX]);
/* The port, as text. */
const char *address_port(const char *target);

/* Nobody else's machine gets there. */
bool address_is_loopback(const char *target);

/* The same with the port that was found. */
void address_with_port(const char *scheme, const char *target, int port, char out[DF_ADDRESS_MAX]);

/* Why one cannot listen there, if the system says so: ALREADY_EXISTS or INVALID_ARGUMENT. OK: it
 * says nothing against it. */
df_code address_why_not(const char *scheme, const char *target, df_error *err);

#endif /* TRANSPORT_ADDRESS_H */
