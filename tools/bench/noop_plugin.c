/* A kernel that does nothing, for call_bench: what remains is the cost of the call. */
#include <graft/plugin.h>

static graft_status create(const graft_entry* entry, const graft_contract* contract, graft_device device,
                           const graft_value* attributes, graft_instance** instance) {
  (void)entry, (void)contract, (void)device, (void)attributes, (void)instance;
  return GRAFT_OK;
}

static graft_status forward(const graft_instance* instance, const graft_call* call, const graft_value* arguments) {
  (void)instance, (void)call, (void)arguments;
  return GRAFT_OK;
}

static const char* const contracts[] = {"BenchNoop/1"};
static const graft_dtype dtypes[] = {{GRAFT_DTYPE_FLOAT, 32, 1}};
static const graft_entry entry = {
    .struct_size = sizeof(graft_entry),
    .name = "Noop",
    .contracts = contracts,
    .contract_count = 1,
    .device_type = GRAFT_DEVICE_CPU,
    .dtypes = dtypes,
    .dtype_count = 1,
    .flags = GRAFT_ENTRY_DETERMINISTIC,
    .create = create,
    .forward = forward,
};

static uint32_t entry_count(void) { return 1; }
static const graft_entry* entry_at(uint32_t index) { return index == 0 ? &entry : 0; }

const graft_plugin graft_plugin_entry = {
    .struct_size = sizeof(graft_plugin),
    .abi_major = GRAFT_ABI_MAJOR,
    .abi_minor = GRAFT_ABI_MINOR,
    .entry_count = entry_count,
    .entry_at = entry_at,
};
