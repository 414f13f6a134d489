/* Contracts: what is passed to a kernel. A contract is data, so that a host can check, allocate and compare
 * without knowing the layer. Standard ones stand in graft/contracts/; a host can declare its own. */
#ifndef GRAFT_ABI_CONTRACT_H
#define GRAFT_ABI_CONTRACT_H

#include "value.h"

/* Direction of an argument. The host allocates outputs before the call. */
enum { GRAFT_IN = 0, GRAFT_OUT = 1, GRAFT_INOUT = 2 };

/* Flags of an argument. */
enum {
  GRAFT_ARG_OPTIONAL = 1, /* may be GRAFT_NONE */
  /* A parameter of the layer: handed to prepare() at bind time and again when its pointer or version changes. It
   * stands in forward's arguments too, but is GRAFT_NONE there for an entry that PREPACKS. */
  GRAFT_ARG_WEIGHT = 2,
  /* An output that only backward reads; GRAFT_NONE when no gradient is needed. */
  GRAFT_ARG_SAVED = 4,
  /* Kept by the host for backward, which gets GRAFT_NONE for all other arguments of forward. */
  GRAFT_ARG_KEPT = 8,
  /* Strides: without a flag the argument is contiguous (row-major). */
  GRAFT_ARG_ROWS = 16,   /* stride of the last dimension is 1, the others are free */
  GRAFT_ARG_STRIDED = 32 /* any strides */
};

/* `dtype`: "T" is the layer's dtype, the same for all arguments that say "T"; otherwise a fixed one by its torch
 * name: "float32", "int64", "int32", "bool", "uint8" …
 *
 * `shape`: names of dimensions, separated by spaces. The same name is the same size everywhere in the call; "..."
 * stands for any number of leading dimensions, the same ones everywhere; a number is that size; "2*I" is twice I;
 * "?B" is B or 1 (broadcast). "" is a scalar (no dimension). Outputs are allocated by it, so each name in an
 * output's shape stands in an input's. Example, RMSNorm: x "... H", weight "H", out "... H". A shape of NULL is
 * computed by the entry's infer(). */
typedef struct graft_argument {
  const char* name;
  uint32_t direction;
  uint32_t flags;
  const char* dtype;
  const char* shape;
} graft_argument;

/* An attribute is fixed for the life of an instance. If it is not `required`, its default is the member that its tag
 * names (GRAFT_INT and GRAFT_BOOL: integer). */
typedef struct graft_attribute {
  const char* name;
  uint32_t tag; /* GRAFT_BOOL, GRAFT_INT, GRAFT_FLOAT or GRAFT_STRING */
  uint32_t required;
  int64_t integer;
  double number;
  const char* string;
} graft_attribute;

/* |kernel - reference| <= atol + rtol * |reference|, elementwise, for inputs of this dtype. */
typedef struct graft_tolerance {
  graft_dtype dtype;
  double rtol;
  double atol;
} graft_tolerance;

/* In its place for an entry with GRAFT_ENTRY_QUANTIZES, whatever the dtype: the root mean square of |kernel - reference| over
 * an output is at most this share of that of the reference, and every element is finite where the reference is.
 * Rationale: weights of 8 bits err by 0.3 % to 1 % of their root mean square, those of 4 bits by 7 % and more; a wrong
 * scale, a lost column or a swapped half is far beyond. */
static const double graft_quantized_tolerance = 0.02;

/* A contract never changes: additions make the next version, "RMSNorm/2". Data pointers are aligned to
 * `alignment` bytes at least; 1: to their dtype's own size alone, as the standard contracts have it.
 * Rationale: weights are mapped straight from .safetensors files, which align tensors to 8 bytes or less; a kernel that
 * wants more looks at the pointer, or packs in prepare. Static for the life of the process. */
typedef struct graft_contract {
  uint32_t struct_size;
  uint32_t alignment;
  const char* name; /* "RMSNorm/1": the name transformers gives the layer, a slash, the contract's version */
  const graft_argument* arguments; /* in the order of forward's arguments */
  uint32_t argument_count;
  uint32_t attribute_count;
  const graft_attribute* attributes;
  const graft_tolerance* tolerances;
  uint32_t tolerance_count;
} graft_contract;

#endif
