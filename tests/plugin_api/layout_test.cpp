// The binary interface does not move: DLPack's layout, and the offsets that plugins were compiled with.
#include <graft/contracts.h>
#include <graft/plugin.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

namespace {

TEST(AbiLayout, TensorIsDlpacksDltensor) {
  EXPECT_EQ(sizeof(graft_tensor), 48u);
  EXPECT_EQ(offsetof(graft_tensor, data), 0u);
  EXPECT_EQ(offsetof(graft_tensor, device), 8u);
  EXPECT_EQ(offsetof(graft_tensor, ndim), 16u);
  EXPECT_EQ(offsetof(graft_tensor, dtype), 20u);
  EXPECT_EQ(offsetof(graft_tensor, shape), 24u);
  EXPECT_EQ(offsetof(graft_tensor, strides), 32u);
  EXPECT_EQ(offsetof(graft_tensor, byte_offset), 40u);
  EXPECT_EQ(sizeof(graft_dtype), 4u);
  EXPECT_EQ(offsetof(graft_dtype, bits), 1u);
  EXPECT_EQ(offsetof(graft_dtype, lanes), 2u);
  EXPECT_EQ(sizeof(graft_device), 8u);
  EXPECT_EQ(offsetof(graft_device, id), 4u);
}

TEST(AbiLayout, CodesAreDlpacks) {
  EXPECT_EQ(GRAFT_DTYPE_INT, 0);
  EXPECT_EQ(GRAFT_DTYPE_UINT, 1);
  EXPECT_EQ(GRAFT_DTYPE_FLOAT, 2);
  EXPECT_EQ(GRAFT_DTYPE_BFLOAT, 4);
  EXPECT_EQ(GRAFT_DTYPE_COMPLEX, 5);
  EXPECT_EQ(GRAFT_DTYPE_BOOL, 6);
  EXPECT_EQ(GRAFT_DEVICE_CPU, 1);
  EXPECT_EQ(GRAFT_DEVICE_CUDA, 2);
  EXPECT_EQ(GRAFT_DEVICE_CUDA_HOST, 3);
  EXPECT_EQ(GRAFT_DEVICE_METAL, 8);
  EXPECT_EQ(GRAFT_DEVICE_ROCM, 10);
  EXPECT_EQ(GRAFT_DEVICE_XPU, 14);
}

TEST(AbiLayout, ValueIs16Bytes) {
  EXPECT_EQ(sizeof(graft_value), 16u);
  EXPECT_EQ(offsetof(graft_value, length), 4u);
  EXPECT_EQ(offsetof(graft_value, as), 8u);
}

TEST(AbiLayout, StructsOfVersion1KeepTheirOffsets) {
  EXPECT_EQ(offsetof(graft_plugin, abi_major), 4u);
  EXPECT_EQ(offsetof(graft_plugin, abi_minor), 6u);
  EXPECT_EQ(offsetof(graft_plugin, init), 8u);
  EXPECT_EQ(offsetof(graft_plugin, entry_at), 32u);
  EXPECT_EQ(offsetof(graft_plugin, extension), 40u);

  EXPECT_EQ(offsetof(graft_entry, name), 8u);
  EXPECT_EQ(offsetof(graft_entry, contracts), 16u);
  EXPECT_EQ(offsetof(graft_entry, device_type), 28u);
  EXPECT_EQ(offsetof(graft_entry, dtypes), 40u);
  EXPECT_EQ(offsetof(graft_entry, cpu_features), 56u);
  EXPECT_EQ(offsetof(graft_entry, supports), 64u);
  EXPECT_EQ(offsetof(graft_entry, create), 72u);
  EXPECT_EQ(offsetof(graft_entry, destroy), 80u);
  EXPECT_EQ(offsetof(graft_entry, prepare), 88u);
  EXPECT_EQ(offsetof(graft_entry, workspace_size), 96u);
  EXPECT_EQ(offsetof(graft_entry, infer), 104u);
  EXPECT_EQ(offsetof(graft_entry, forward), 112u);
  EXPECT_EQ(offsetof(graft_entry, backward), 120u);

  EXPECT_EQ(offsetof(graft_call, device), 8u);
  EXPECT_EQ(offsetof(graft_call, stream), 16u);
  EXPECT_EQ(offsetof(graft_call, workspace), 24u);
  EXPECT_EQ(offsetof(graft_call, workspace_size), 32u);
  EXPECT_EQ(offsetof(graft_call, thread_count), 40u);
  EXPECT_EQ(offsetof(graft_call, parallel_for), 48u);

  EXPECT_EQ(offsetof(graft_host, name), 8u);
  EXPECT_EQ(offsetof(graft_host, set_error), 24u);
  EXPECT_EQ(offsetof(graft_host, get_extension), 32u);
  EXPECT_EQ(offsetof(graft_host_parallel_for, thread_count), 8u);
  EXPECT_EQ(offsetof(graft_host_parallel_for, parallel_for), 16u);

  EXPECT_EQ(offsetof(graft_contract, name), 8u);
  EXPECT_EQ(offsetof(graft_contract, arguments), 16u);
  EXPECT_EQ(offsetof(graft_contract, attributes), 32u);
  EXPECT_EQ(offsetof(graft_contract, tolerances), 40u);
  EXPECT_EQ(offsetof(graft_contract, tolerance_count), 48u);
}

TEST(AbiLayout, FieldsBeyondTheirAuthorsSizeAreNotThere) {
  graft_entry entry{};
  entry.struct_size = offsetof(graft_entry, backward);
  EXPECT_TRUE(GRAFT_HAS(&entry, graft_entry, forward));
  EXPECT_FALSE(GRAFT_HAS(&entry, graft_entry, backward));
}

TEST(Contracts, AreWellFormed) {
  std::set<std::string> names;
  for (const graft_contract* contract : graft_standard_contracts) {
    SCOPED_TRACE(contract->name);
    EXPECT_EQ(contract->struct_size, sizeof(graft_contract));
    EXPECT_TRUE(names.insert(contract->name).second) << "listed twice";
    EXPECT_NE(std::strchr(contract->name, '/'), nullptr);
    EXPECT_EQ(contract->alignment & (contract->alignment - 1), 0u);
    std::set<std::string> inputs;  // dimensions
    for (uint32_t pass = 0; pass < 2; ++pass)
      for (uint32_t i = 0; i < contract->argument_count; ++i) {
        const graft_argument& argument = contract->arguments[i];
        if ((argument.direction == GRAFT_OUT) != (pass == 1)) continue;
        std::string dimension;
        for (const char c : std::string(argument.shape) + " ") {
          if (c != ' ') {
            dimension += c;
            continue;
          }
          if (pass == 0)
            inputs.insert(dimension.substr(dimension.rfind('*') + 1));
          else
            EXPECT_TRUE(dimension.empty() || inputs.count(dimension))
                << argument.name << ": " << dimension << " is of no input";
          dimension.clear();
        }
      }
    for (uint32_t i = 0; i < contract->tolerance_count; ++i) {
      EXPECT_GT(contract->tolerances[i].rtol, 0);
      EXPECT_GT(contract->tolerances[i].atol, 0);
    }
  }
}

}  // namespace
