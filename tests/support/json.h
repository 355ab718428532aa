/* SPDX-License-Identifier: MIT
 *
 * json.h - is a text JSON? By the letter of RFC 8259: one value, and nothing but blanks
 * around it.
 */
#ifndef SUPPORT_JSON_H
#define SUPPORT_JSON_H

#include <stddef.h>

/* Where it first is not; NULL: it is. */
const char *json_mistake(const char *text);

#endif /* SUPPORT_JSON_H */
