/* Tensors, dtypes and devices: DLPack 1.x's DLTensor, DLDataType and DLDevice bit for bit, under names of our
 * own so that this header and dlpack.h can be included together. Source: github.com/dmlc/dlpack, dlpack.h. */
#ifndef GRAFT_ABI_TENSOR_H
#define GRAFT_ABI_TENSOR_H

#include <stdint.h>

/* DLDataTypeCode. */
enum {
  GRAFT_DTYPE_INT = 0,
  GRAFT_DTYPE_UINT = 1,
  GRAFT_DTYPE_FLOAT = 2,
  GRAFT_DTYPE_BFLOAT = 4,
  GRAFT_DTYPE_COMPLEX = 5,
  GRAFT_DTYPE_BOOL = 6,
  GRAFT_DTYPE_FLOAT8_E4M3FN = 10,
  GRAFT_DTYPE_FLOAT8_E5M2 = 12,
  GRAFT_DTYPE_FLOAT8_E8M0FNU = 14,
  GRAFT_DTYPE_FLOAT4_E2M1FN = 17
};

/* DLDataType: `lanes` is 1 for scalars; two FP4 values in a byte are bits = 4, lanes = 2. */
typedef struct graft_dtype {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} graft_dtype;

/* DLDeviceType, those that Graft names. */
enum {
  GRAFT_DEVICE_CPU = 1,
  GRAFT_DEVICE_CUDA = 2,
  GRAFT_DEVICE_CUDA_HOST = 3, /* pinned host memory */
  GRAFT_DEVICE_METAL = 8,
  GRAFT_DEVICE_ROCM = 10,
  GRAFT_DEVICE_XPU = 14 /* kDLOneAPI */
};

typedef struct graft_device {
  int32_t type; /* GRAFT_DEVICE_… */
  int32_t id;   /* index among devices of that type; 0 for CPU */
} graft_device;

/* DLTensor. `strides` is never null here (DLPack < 1.2 allowed it) and counts elements, not bytes; the first
 * element lies at (char*)data + byte_offset. An empty tensor's data may be null. In queries (supports,
 * workspace_size, infer) data is null: only shape, strides, dtype and device may be read. */
typedef struct graft_tensor {
  void* data;
  graft_device device;
  int32_t ndim;
  graft_dtype dtype;
  int64_t* shape;
  int64_t* strides;
  uint64_t byte_offset;
} graft_tensor;

#endif
