// Contracts at work: the registry of known ones, and the check of a call's tensors against one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "graft/abi/contract.h"

namespace graft {

inline constexpr int kMaxRank = 8;         // of a tensor in a call
inline constexpr int kMaxDimensions = 16;  // names in a contract

/// What a call's tensors bound: the size of each named dimension, the leading ones behind "...", the dtype
/// "T".
struct ContractBinding {
  std::array<std::int64_t, kMaxDimensions> sizes;  // by ContractPlan's numbering; -1: not bound
  std::array<std::int64_t, kMaxRank> leading;
  int leading_rank = -1;          // -1: not bound
  graft_dtype dtype = {0, 0, 0};  // bits 0: not bound
};

/// A contract compiled once, so that checking a call costs a few nanoseconds per argument. Immutable, any
/// thread. The shape language is documented in graft/abi/contract.h.
class ContractPlan {
 public:
  /// `contract` outlives the plan. Throws Error(invalid_argument) for a malformed one: an unknown dtype, a
  /// bad shape, an output's dimension that no input has, a name that is not "Name/version".
  explicit ContractPlan(const graft_contract& contract);

  const graft_contract& contract() const { return *contract_; }

  /// Checks inputs and inouts (outputs are skipped unless they are given) in `arguments`, which stand in the
  /// contract's order: presence, dtype, shape, strides, alignment (data null, as in queries: not looked at).
  /// True and `binding` filled, or false and, if `why` is given, a sentence in it: "weight has shape [575]; H
  /// is 576 (from x)". `weights` false: weights may be GRAFT_NONE, as in a call of an entry that PREPACKS.
  bool check(const graft_value* arguments, ContractBinding& binding, std::string* why = nullptr,
             bool weights = true) const;

  /// Shape and dtype of the argument at `index` (an output) under a binding. Writes up to kMaxRank sizes; the
  /// rank, or -1 if its shape is the entry's to infer or a name of it is not bound.
  int output_shape(std::size_t index, const ContractBinding& binding, std::int64_t* shape) const;
  graft_dtype output_dtype(std::size_t index, const ContractBinding& binding) const;

  /// The number of a dimension's name in ContractBinding::sizes, or -1.
  int dimension(std::string_view name) const;

 private:
  struct Dim {
    std::int64_t factor = 1;  // "2*I": 2; a number: that number, and `name` is -1
    std::int16_t name = -1;   // index of the dimension
    bool broadcast = false;   // "?B"
  };
  struct Argument {
    std::vector<Dim> dims;  // after "..."
    bool leading = false;   // begins with "..."
    bool inferred = false;  // shape NULL
    bool is_t = false;      // dtype "T"
    graft_dtype dtype = {0, 0, 0};
  };
  bool check_tensor(std::size_t index, const graft_tensor& tensor, ContractBinding& binding) const;
  std::string explain(std::size_t index, const graft_value& value, const ContractBinding& before) const;

  const graft_contract* contract_;
  std::vector<Argument> arguments_;
  std::vector<std::string> names_;
};

/// The contracts this host knows: the standard ones, and those it adds. The one documented registry. Any
/// thread.
class ContractRegistry {
 public:
  static ContractRegistry& shared();

  /// "RMSNorm/1"; null if unknown. The pointers live as long as the process.
  const graft_contract* find(std::string_view name) const;
  const ContractPlan* plan(std::string_view name) const;

  /// Adds a host's own contract, which must live as long as the process. The same pointer twice is fine.
  /// Throws Error(invalid_argument) for a malformed one or a name that is taken: contracts never change.
  void add(const graft_contract& contract);

  std::vector<std::string> names() const;

 private:
  ContractRegistry();
  struct State;
  std::unique_ptr<State> state_;
};

/// "float32", "bfloat16", "int64", "bool", "float8_e4m3fn" …, torch's names; dtype_from_name gives bits 0 for
/// a name it does not know.
std::string dtype_name(graft_dtype dtype);
graft_dtype dtype_from_name(std::string_view name);
inline bool same_dtype(graft_dtype a, graft_dtype b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

}  // namespace graft
