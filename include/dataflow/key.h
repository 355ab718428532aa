/* SPDX-License-Identifier: MIT
 *
 * key.h - the name of one crossing.
 */
#ifndef DATAFLOW_KEY_H
#define DATAFLOW_KEY_H

#include <dataflow/allocator.h>

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Under a key the two halves of a cut edge meet. In text (TensorFlow's Rendezvous::CreateKey):
 *
 *   src device;src incarnation;dst device;edge name;frame:iter
 *
 * e.g. "/job:localhost/task:0/device:CPU:0;00000000deadbeef;
 *       /job:localhost/task:0/device:SIM:0;y:0;0:0" (in one line). Devices have their full
 * names, as df_device_name gives them: without TensorFlow's replica. The incarnation
 * has 16 hexadecimal digits; frame is the path of outer loop iterations joined by '.',
 * iter the innermost one. Immutable. */
typedef struct df_key df_key;

/* Reads a key. A total function: any text gives a key or INVALID_ARGUMENT with what
 * is wrong and where. allocator may be NULL. */
DF_API df_code df_key_parse(const df_allocator *allocator, const char *text, df_key **out,
                            df_error *err);
DF_API void df_key_free(df_key *key); /* only of keys from df_key_parse; NULL is fine */

/* Writes the text as snprintf does: what fits, and returns the whole length. */
DF_API size_t df_key_text(const df_key *key, char *buffer, size_t size);

DF_API const char *df_key_src_device(const df_key *key);
DF_API uint64_t df_key_src_incarnation(const df_key *key);
DF_API const char *df_key_dst_device(const df_key *key);
DF_API const char *df_key_edge(const df_key *key);

DF_API bool df_key_equal(const df_key *a, const df_key *b); /* all parts */
DF_API uint64_t df_key_hash(const df_key *key);             /* equal keys, equal hashes */

/* The number of this crossing in its program's plan, from 0; -1 if the key belongs
 * to no plan. */
DF_API int64_t df_key_channel(const df_key *key);

#ifdef __cplusplus
}
#endif

#endif /* DATAFLOW_KEY_H */
