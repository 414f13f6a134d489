/* RMSNorm in plain C11: the interface is C's, and graft/plugin.h is all that a plugin needs. */
#include <graft/plugin.h>
#include <math.h>
#include <string.h>

static const graft_host* host;

static graft_status keep_host(const graft_host* given) {
  host = given;
  return GRAFT_OK;
}

/* The state of one layer is its eps, which fits into the pointer that names the instance: nothing to
 * allocate. */
static graft_status create(const graft_entry* entry, const graft_contract* contract, graft_device device,
                           const graft_value* attributes, graft_instance** instance) {
  (void)entry, (void)contract, (void)device;
  if (attributes[0].tag != GRAFT_FLOAT) {
    host->set_error(host, "RMSNorm needs its attribute eps, a float");
    return GRAFT_INVALID_ARGUMENT;
  }
  const float eps = (float)attributes[0].as.number;
  uintptr_t bits = 0;
  memcpy(&bits, &eps, sizeof eps);
  *instance = (graft_instance*)bits;
  return GRAFT_OK;
}

static float eps_of(const graft_instance* instance) {
  const uintptr_t bits = (uintptr_t)instance;
  float eps;
  memcpy(&eps, &bits, sizeof eps);
  return eps;
}

static char* first_byte(const graft_tensor* tensor) {
  return (char*)tensor->data + tensor->byte_offset;
}

/* What the threads of one call share. */
typedef struct {
  const graft_tensor* x;
  const float* weight;
  float* out;
  float* rstd; /* null: not wanted */
  float eps;
} norm_call;

/* Rows [begin, end). The leading dimensions of x may have any strides, the last is contiguous. */
static void normalise(void* data, int64_t begin, int64_t end, uint32_t worker) {
  (void)worker;
  const norm_call* call = data;
  const graft_tensor* x = call->x;
  const int64_t width = x->shape[x->ndim - 1];
  for (int64_t row = begin; row < end; ++row) {
    const float* from = (const float*)first_byte(x);
    int64_t rest = row;
    for (int32_t i = x->ndim - 2; i >= 0; --i) {
      from += rest % x->shape[i] * x->strides[i];
      rest /= x->shape[i];
    }
    float* to = call->out + row * width;
    float squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += from[i] * from[i];
    const float rstd = 1 / sqrtf(squares / (float)width + call->eps);
    for (int64_t i = 0; i < width; ++i) to[i] = from[i] * rstd * call->weight[i];
    if (call->rstd) call->rstd[row] = rstd;
  }
}

/* Arguments as RMSNorm/1 orders them: x, weight, out, rstd. */
static graft_status forward(const graft_instance* instance, const graft_call* call,
                            const graft_value* arguments) {
  const graft_tensor* x = arguments[0].as.tensor;
  const norm_call norm = {
      x, (const float*)first_byte(arguments[1].as.tensor), (float*)first_byte(arguments[2].as.tensor),
      arguments[3].tag == GRAFT_TENSOR ? (float*)first_byte(arguments[3].as.tensor) : NULL, eps_of(instance)};
  int64_t rows = 1;
  for (int32_t i = 0; i + 1 < x->ndim; ++i) rows *= x->shape[i];
  if (rows > 0) call->parallel_for(call, rows, 16, normalise, (void*)&norm);
  return GRAFT_OK;
}

static const char* const contracts[] = {"RMSNorm/1"};
static const graft_dtype dtypes[] = {{GRAFT_DTYPE_FLOAT, 32, 1}};

static const graft_entry rms_norm = {
    .struct_size = sizeof(graft_entry),
    .flags = GRAFT_ENTRY_DETERMINISTIC,
    .name = "RMSNorm",
    .contracts = contracts,
    .contract_count = 1,
    .device_type = GRAFT_DEVICE_CPU,
    .dtypes = dtypes,
    .dtype_count = 1,
    .create = create,
    .forward = forward,
};

static uint32_t entry_count(void) {
  return 1;
}
static const graft_entry* entry_at(uint32_t index) {
  return index == 0 ? &rms_norm : NULL;
}

const graft_plugin graft_plugin_entry = {
    .struct_size = sizeof(graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .init = keep_host,
    .entry_count = entry_count,
    .entry_at = entry_at,
};
