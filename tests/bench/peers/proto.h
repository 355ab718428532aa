/* SPDX-License-Identifier: MIT
 *
 * proto.h - messages of protocol buffers, for peers that take them as bytes.
 */
#ifndef BENCH_PROTO_H
#define BENCH_PROTO_H

#include <cstdint>
#include <string>

namespace proto {

inline std::string varint(uint64_t v) {
    std::string out;
    for (; v >= 128; v >>= 7) out += (char)(v | 128);
    return out + (char)v;
}

inline std::string number(unsigned field, int64_t value) {
    return varint(field << 3) + varint((uint64_t)value);
}

/* A message or a string. */
inline std::string bytes(unsigned field, const std::string &content) {
    return varint(field << 3 | 2) + varint(content.size()) + content;
}

} // namespace proto

#endif /* BENCH_PROTO_H */
