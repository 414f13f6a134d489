// What the tests of plugins share: a plugin opened by its file, and a call through the C ABI as a host makes
// it, with arrays.h's.
#pragma once

#include <graft/plugin.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "arrays.h"

namespace graft::test {

// The message of the last set_error on this thread.
const std::string& last_error();

// An entry of a plugin, opened, initialised and never closed.
class Kernel {
 public:
  Kernel(const std::string& file, const std::string& entry, const graft_contract& contract,
         std::vector<graft_value> attributes = {});
  const graft_entry& entry() const { return *entry_; }

  // Shows it the weights among `arguments`, those of forward.
  graft_status prepare(const std::vector<graft_value>& arguments) const;
  // supports, workspace_size and forward as a host calls them, without the weights if the entry PREPACKS, with `threads` threads. Expects the guards of
  // the workspace to be intact; what it holds at first are NaN. Unless `at_once`, a single thread does the work of all, one after the other.
  graft_status run(const std::vector<graft_value>& arguments, uint32_t threads = 1, bool at_once = true) const;
  // backward likewise. Of `arguments`, those of forward, it sees what the contract keeps or saves.
  graft_status run_backward(const std::vector<graft_value>& arguments,
                            const std::vector<graft_value>& grad_outputs, uint64_t needs_gradient,
                            const std::vector<graft_value>& grad_inputs, uint32_t threads = 1) const;
  size_t workspace(const std::vector<graft_value>& arguments, uint32_t threads,
                   uint32_t pass = GRAFT_WORKSPACE_FORWARD) const;
  const graft_contract& contract() const { return *contract_; }

 private:
  std::vector<graft_value> kept(std::vector<graft_value> arguments) const;
  std::vector<graft_value> seen_by_forward(std::vector<graft_value> arguments) const;
  graft_status call(size_t workspace, uint32_t threads, bool at_once,
                    const std::function<graft_status(const graft_call&)>& body) const;

  const graft_contract* contract_;
  std::vector<graft_value> attributes_;
  const graft_entry* entry_ = nullptr;
  std::shared_ptr<graft_instance> instance_;
};

// body(0) … body(count - 1), each on a thread of its own.
void run_at_once(int count, const std::function<void(int)>& body);

// |actual - expected| within `times` the contract's tolerance for dtype; NaN answers NaN, an infinity the
// same one.
void expect_close(const graft_contract& contract, graft_dtype dtype, const std::vector<double>& expected,
                  const Array& actual, const std::string& what, double times = 1);

// A variant of the first-party kernels, and a dtype.
struct Case {
  std::string variant;
  graft_dtype dtype;
  std::string file(const std::string& name) const;
};

// Tests of kernels run for each variant that this processor can run, and each dtype.
class KernelTest : public testing::TestWithParam<Case> {
 protected:
  graft_dtype dtype() const { return GetParam().dtype; }
  std::string file(const std::string& name) const { return GetParam().file(name); }
  void SetUp() override;
};
std::vector<Case> all_cases();
// Those of float32 and bfloat16, for entries that serve no other.
std::vector<Case> float_cases();
std::string case_name(const testing::TestParamInfo<Case>& info);

}  // namespace graft::test
