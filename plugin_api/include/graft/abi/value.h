/* graft_value: what arguments and attributes travel in. 16 bytes, tagged. */
#ifndef GRAFT_ABI_VALUE_H
#define GRAFT_ABI_VALUE_H

#include "tensor.h"

enum {
  GRAFT_NONE = 0, /* an optional argument that is absent */
  GRAFT_BOOL = 1,
  GRAFT_INT = 2,
  GRAFT_FLOAT = 3,
  GRAFT_DTYPE = 4,
  GRAFT_DEVICE = 5,
  GRAFT_STRING = 6,
  GRAFT_TENSOR = 7,
  GRAFT_INT_LIST = 8,
  GRAFT_TENSOR_LIST = 9
};

/* What a value points to is the host's and lives until the call returns: copy what must outlive it. */
typedef struct graft_value {
  uint32_t tag;    /* GRAFT_NONE … GRAFT_TENSOR_LIST */
  uint32_t length; /* bytes of a string, elements of a list; else 0 */
  union {
    int64_t integer; /* GRAFT_INT; GRAFT_BOOL as 0 or 1 */
    double number;   /* GRAFT_FLOAT */
    graft_dtype dtype;
    graft_device device;
    const char* string; /* UTF-8, `length` bytes, and a NUL after them */
    graft_tensor* tensor;
    const int64_t* integers;
    graft_tensor* const* tensors;
  } as;
} graft_value;

#endif
