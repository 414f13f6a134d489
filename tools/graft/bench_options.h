// What `graft bench` was asked for. Handed to the part of the command that links LibTorch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace graft {

struct BenchOptions {
  std::string ref;                  // "graft-kernels/norm:RMSNorm"; without an entry all of them
  std::vector<std::string> shapes;  // "1x576"; none: each contract's own grid
  std::vector<std::string> dtypes;  // "float32" …; none: what the entry serves of float32 and bfloat16
  std::string device = "cpu";       // "cpu", "cuda"
  int threads = 0;                  // 0: as many as kernels use by default
  double seconds = 0.25;            // of each case, for both forwards together
  bool allow_all_kernels = false;
  std::string html;  // a file to write, or empty
  bool json = false;
};

/// The function of libgraft_commands.so; returns an exit code, throws Error.
using GraftCommandBench = int (*)(const BenchOptions*);
inline constexpr const char* kGraftCommandBench = "graft_command_bench";

/// What the numbers of a --shape mean for a contract.
struct ShapeForm {
  std::string_view contract, form;
};

/// T query tokens, S key tokens, Q query heads, K key heads, D head dimension; INNER is an MLP's width. Of B sequences the longest has T
/// (paged: S keys), the others less and less. L tokens are in the cache, one is new.
inline constexpr ShapeForm kShapeForms[] = {
    {"RMSNorm/1", "ROWSxHIDDEN"},
    {"AddRMSNorm/1", "ROWSxHIDDEN"},
    {"SiLU/1", "ROWSxINNER"},
    {"GELU/1", "ROWSxINNER"},
    {"SiluAndMul/1", "ROWSxINNER"},
    {"GeluAndMul/1", "ROWSxINNER"},
    {"Linear/1", "ROWSxINxOUT"},
    {"SwiGLUMLP/1", "ROWSxHIDDENxINNER"},
    {"GeGLUMLP/1", "ROWSxHIDDENxINNER"},
    {"RMSNormMLP/1", "ROWSxHIDDENxINNER"},
    {"rotary_pos_emb/1", "TxQxKxD"},
    {"attention/1", "TxSxQxKxD"},
    {"varlen_attention/1", "BxTxQxKxD"},
    {"paged_attention/1", "BxTxSxQxKxD"},
    {"ForCausalLMLoss/1", "ROWSxHIDDENxVOCABULARY"},
    {"DecoderLayer/1", "BxLxHIDDENxQxKxDxINNER"},
    {"Sampling/1", "ROWSxVOCABULARY"},
};

}  // namespace graft
