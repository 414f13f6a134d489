// What noop_plugin.c is, for tvm-ffi: three tensors, and nothing done.
#include <tvm/ffi/tvm_ffi.h>

static void noop(tvm::ffi::TensorView, tvm::ffi::TensorView, tvm::ffi::TensorView) {}
TVM_FFI_DLL_EXPORT_TYPED_FUNC(noop, noop);
