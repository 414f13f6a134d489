#include "plan.h"

#include <algorithm>
#include <set>
#include <span>

#include "graft/dtype.h"
#include "graft/error.h"
#include "shape.h"
#include "tensor_view.h"  // of core/binding

namespace graft::bench {
namespace {

[[noreturn]] void skip(const std::string& why) {
  throw Error(ErrorCode::unsupported, "entry", why);
}

/// Each name once: a plugin may list an entry for several devices or CPU levels.
std::vector<std::string> entry_names(const Package& package) {
  if (!package.ref.entry.empty()) return {package.ref.entry};
  std::vector<std::string> names;
  for (const graft_entry* entry : package.plugin->entries()) {
    if (std::find(names.begin(), names.end(), entry->name) == names.end()) names.emplace_back(entry->name);
  }
  return names;
}

/// The entry as kernelize is told of it. A plugin may give an entry a name that no reference can hold.
std::string reference_to(KernelRef ref, const std::string& entry) {
  ref.entry = entry;
  try {
    return KernelRef::parse(ref.str()).str();
  } catch (const Error&) {
    skip("its name has characters that no reference can hold");
  }
}

const LayerKind& kind_of(const graft_entry& entry) {
  for (uint32_t i = 0; i < entry.contract_count; ++i) {
    if (const LayerKind* kind = find_layer_kind(entry.contracts[i])) return *kind;
  }
  skip("there is no own forward to compare with for its contract " + contract_names(entry));
}

std::vector<at::ScalarType> dtypes_of(const graft_entry& entry, const std::vector<std::string>& asked) {
  const std::span served(entry.dtypes, entry.dtype_count);
  std::vector<at::ScalarType> dtypes;
  const auto take = [&](const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const graft_dtype dtype = dtype_from_name(name);
      if (std::any_of(served.begin(), served.end(), [&](graft_dtype d) { return same_dtype(d, dtype); })) {
        dtypes.push_back(to_torch(dtype));
      }
    }
  };
  take(asked.empty() ? std::vector<std::string>{"float32", "bfloat16"} : asked);
  if (dtypes.empty() && asked.empty()) take({"float16", "float64"});
  if (!dtypes.empty()) return dtypes;
  std::string names;
  for (graft_dtype dtype : served) names += (names.empty() ? "" : ", ") + dtype_name(dtype);
  skip("none of the dtypes asked for: it serves " + names);
}

/// Those of `asked` that a contract takes, noted in `fitting`; its own grid if none are asked for.
std::vector<Sizes> shapes_of(const LayerKind& kind, const std::vector<Sizes>& asked,
                             std::set<Sizes>& fitting) {
  if (asked.empty()) return kind.grid;
  const std::string_view form = shape_form(kind.contract);
  std::vector<Sizes> shapes;
  for (const Sizes& shape : asked) {
    if (shape.size() != length_of_form(form)) continue;
    if (const std::string complaint = kind.complaint(shape); !complaint.empty()) {
      throw Error(ErrorCode::invalid_argument, "--shape " + to_text(shape), complaint,
                  "for " + std::string(kind.contract) + " it is " + std::string(form));
    }
    shapes.push_back(shape);
    fitting.insert(shape);
  }
  if (shapes.empty())
    skip("no --shape is of the form " + std::string(form) + " of " + std::string(kind.contract));
  return shapes;
}

void check_all_fit(const std::vector<Sizes>& asked, const std::set<Sizes>& fitting, const Plan& plan) {
  for (const Sizes& shape : asked) {
    if (fitting.contains(shape)) continue;
    std::string reasons;
    for (const Skipped& skipped : plan.skipped)
      reasons += (reasons.empty() ? "" : "; ") + skipped.entry + ": " + skipped.reason;
    for (const Subject& subject : plan.subjects) {
      reasons += (reasons.empty() ? "" : "; ") + subject.entry + " takes " +
                 std::string(shape_form(subject.kind->contract));
    }
    throw Error(ErrorCode::invalid_argument, "--shape " + to_text(shape),
                "fits no entry that can be measured", reasons);
  }
}

}  // namespace

Plan make_plan(const Package& package, const BenchOptions& options) {
  std::vector<Sizes> asked;
  for (const std::string& text : options.shapes) asked.push_back(parse_shape(text));
  std::set<Sizes> fitting;
  Plan plan;
  for (const std::string& name : entry_names(package)) {
    try {
      const graft_entry& entry = package.plugin->entry(name, device_type(device_kind(options.device)));
      const LayerKind& kind = kind_of(entry);
      plan.subjects.push_back({name, reference_to(package.ref, name), &kind, shapes_of(kind, asked, fitting),
                               dtypes_of(entry, options.dtypes), &entry});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
      plan.skipped.push_back({name, error.why()});
    }
  }
  check_all_fit(asked, fitting, plan);
  return plan;
}

}  // namespace graft::bench
