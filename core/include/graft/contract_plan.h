// ContractPlan: a contract compiled, to check a call's tensors and to size its outputs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "graft/abi/contract.h"

namespace graft {

inline constexpr int kMaxRank = 8;         // of a tensor in a call
inline constexpr int kMaxDimensions = 16;  // names in a contract

/// What a call's tensors bound: the size of each named dimension, the leading ones behind "...", the dtype
/// "T". Made empty.
struct ContractBinding {
  std::array<std::int64_t, kMaxDimensions> sizes;  // by ContractPlan::dimension(); -1: not bound
  std::array<std::int64_t, kMaxRank> leading;      // the first leading_rank count
  int leading_rank = -1;                           // -1: not bound
  graft_dtype dtype = {0, 0, 0};                   // bits 0: not bound

  ContractBinding() { sizes.fill(-1); }
};

/// Which arguments a check asks for.
enum class ContractPart {
  all,      // weights and the rest, as in forward
  weights,  // weights alone, as in prepare
  inputs,   // all but weights, which may be none: forward of an entry that PREPACKS
};

/// Compiled once, so that checking a call costs a few nanoseconds per argument. Immutable, any thread.
/// The shape language is documented in graft/abi/contract.h.
class ContractPlan {
 public:
  /// `contract` outlives the plan. Throws Error(invalid_argument) for a malformed one: a name that is not
  /// "Name/version", an unknown dtype, a bad shape, an output's dimension that no input has.
  explicit ContractPlan(const graft_contract& contract);

  const graft_contract& contract() const { return *contract_; }

  /// Checks `arguments`, one per argument of the contract, in its order: presence, dtype, shape, strides,
  /// alignment (not where data is null, as in queries). Outputs may be none, and are checked if they are
  /// there. `binding` may already hold what weights bound, for ContractPart::inputs. True and `binding`
  /// completed; or false, a `binding` that is of no use, and, if `why` is given, a sentence in it: "weight
  /// has shape [575]; H is 576".
  bool check(const graft_value* arguments, ContractBinding& binding, ContractPart part = ContractPart::all,
             std::string* why = nullptr) const;

  /// Shape of the argument at `index` (an output) under a binding: writes up to kMaxRank sizes. The rank, or
  /// -1 if the shape is the entry's to infer or not all of its names are bound.
  int output_shape(std::size_t index, const ContractBinding& binding, std::int64_t* shape) const;

  /// Its dtype; bits 0 if it is "T" and that is not bound.
  graft_dtype output_dtype(std::size_t index, const ContractBinding& binding) const;

  /// Bytes, a power of two, that the address of a tensor of this dtype is a multiple of.
  std::uint64_t alignment(graft_dtype dtype) const;

  /// The number of a dimension's name in ContractBinding::sizes; -1 if the contract has no such name.
  int dimension(std::string_view name) const;

  /// A dimension of a shape in the contract.
  struct Dimension {
    std::int64_t factor = 1;  // "2*I": 2; a number: that number
    int name = -1;            // as dimension() numbers them; -1: a number
    bool broadcast = false;   // "?B"
  };
  struct Shape {
    bool inferred = false;  // NULL: the entry's infer() knows
    bool leading = false;   // begins with "..."
    std::vector<Dimension> dimensions;
  };

  /// The compiled shape of the argument at `index`, for who walks sizes that are no numbers yet.
  const Shape& shape(std::size_t index) const { return shapes_[index]; }

 private:
  void compile_shape(std::size_t index);
  void check_outputs_follow() const;
  enum class Mismatch {
    none,
    no_tensor,
    missing,
    dtype,
    too_many,
    rank,
    leading,
    size,
    contiguous,
    rows,
    alignment
  };
  Mismatch check_tensor(std::size_t index, const graft_tensor& tensor, ContractBinding& binding) const;
  Mismatch bind_shape(const Shape& shape, const graft_tensor& tensor, ContractBinding& binding) const;
  bool bind_dimension(const Dimension& dimension, std::int64_t size, ContractBinding& binding) const;
  std::string explain(Mismatch mismatch, std::size_t index, const graft_value& value,
                      const ContractBinding& binding) const;

  const graft_contract* contract_;
  std::vector<Shape> shapes_;
  std::vector<graft_dtype> dtypes_;  // bits 0: "T"
  std::vector<std::string> names_;
};

}  // namespace graft
