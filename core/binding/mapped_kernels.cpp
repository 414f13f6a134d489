#include "mapped_kernels.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "graft/loaded_plugin.h"
#include "graft/runtime.h"

namespace graft {
namespace {

constexpr size_t kAtOnce = 4;  // each waits for the network, the disk and a core in turn

/// The name of the one entry that fulfils the contract, entries aside that quantise weights: those are named,
/// never chosen. Empty if none does, or several: then the plugin's only one is meant.
std::string entry_for(const std::string& contract, const LoadedPlugin& plugin) {
  std::set<std::string> names;
  for (const graft_entry* entry : plugin.entries()) {
    if (fulfils(*entry, contract) && (entry->flags & GRAFT_ENTRY_QUANTIZES) == 0) names.insert(entry->name);
  }
  return names.size() == 1 ? *names.begin() : "";
}

/// Runs work(0) to work(count - 1), several at once. What the first of them throws is thrown when all threads
/// have ended.
template <class Work>
void side_by_side(size_t count, const Work& work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const auto take = [&] {
    try {
      for (size_t i; (i = next++) < count;) work(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (failure == nullptr) failure = std::current_exception();
    }
  };
  {
    std::vector<std::jthread> threads;
    try {
      for (size_t i = 1; i < std::min(count, kAtOnce); ++i) threads.emplace_back(take);
    } catch (const std::system_error&) {  // no more threads are to be had: it takes longer
    }
    take();
  }
  if (failure != nullptr) std::rethrow_exception(failure);
}

}  // namespace

std::vector<std::shared_ptr<const MappedKernel>> MappedKernels::find(const std::vector<Asked>& asked) {
  struct Missing {
    const Asked* asked;
    std::shared_ptr<const MappedKernel>* found;
  };
  // A repo's further entries are there once the first one is.
  std::map<std::string, std::vector<Missing>> by_repo;
  std::vector<const std::shared_ptr<const MappedKernel>*> places;
  for (const Asked& each : asked) {
    const KernelRef ref = KernelRef::parse(each.reference);
    const std::string chosen_by = ref.entry.empty() ? each.contract : "";
    auto& place = known_[{each.reference, chosen_by, each.device.type(), each.device.index()}];
    places.push_back(&place);
    if (place != nullptr) continue;
    if (Runtime::shared().is_loaded(ref, options_for(each.device))) {
      place = load(each);
    } else {
      by_repo[ref.is_local() ? ref.local.string() : ref.repo].push_back({&each, &place});
    }
  }
  std::vector<const std::vector<Missing>*> repos;
  for (const auto& [name, missing] : by_repo) repos.push_back(&missing);
  side_by_side(repos.size(), [&](size_t i) {
    for (const Missing& each : *repos[i]) {
      if (*each.found == nullptr) *each.found = load(*each.asked);
    }
  });
  std::vector<std::shared_ptr<const MappedKernel>> found;
  for (const auto* place : places) found.push_back(*place);
  return found;
}

LoadOptions MappedKernels::options_for(c10::Device device) const {
  return {.device = device.str(), .allow_all_kernels = allow_all_kernels_, .policy = policy_};
}

std::shared_ptr<const MappedKernel> MappedKernels::load(const Asked& asked) const {
  auto mapped = std::make_shared<MappedKernel>(
      MappedKernel{.reference = asked.reference, .kernel = nullptr, .error = {}});
  try {
    KernelRef ref = KernelRef::parse(asked.reference);
    const LoadOptions load = options_for(asked.device);
    if (ref.entry.empty())
      ref.entry = entry_for(asked.contract, *Runtime::shared().load_package(ref, load).plugin);
    mapped->kernel = std::make_shared<const Kernel>(Runtime::shared().load(ref, load));
  } catch (const Error& error) {
    mapped->error = error;
  }
  return mapped;
}

}  // namespace graft
