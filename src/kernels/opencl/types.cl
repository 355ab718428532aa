/* SPDX-License-Identifier: MIT
 *
 * types.cl - the names of C's types and of double, for what text.sh takes from the library's
 * headers.
 */

/* A product is rounded before it is added, as on the CPU. */
#pragma OPENCL FP_CONTRACT OFF
#define IN_OPENCL /* to args.h */
#if defined(WITHOUT_DOUBLE) || !(defined(cl_khr_fp64) || defined(__opencl_c_fp64))
#define double ulong /* its bits */
#define NUMBER_OF(bits) ((A)float_of(bits))
#else
#pragma OPENCL EXTENSION cl_khr_fp64 : enable
#define HAS_DOUBLE
#define NUMBER_OF(number) ((A)(number))
#endif
typedef char int8_t;
typedef short int16_t;
typedef int int32_t;
typedef long int64_t;
typedef uchar uint8_t;
typedef ushort uint16_t;
typedef uint uint32_t;
typedef ulong uint64_t;
