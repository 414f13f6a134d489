// The C++ layer over graft/plugin.h: an author writes a class with forward and one registration line. Header-only, C++17.
//
//   #include <graft/contracts/rms_norm.h>
//   #include <graft/plugin.hpp>
//   using namespace graft::plugin;
//
//   struct MyRMSNorm {
//     float eps;
//     explicit MyRMSNorm(const Attributes& a) : eps(float(a.number("eps"))) {}
//     void forward(const Call& call, Tensor x, Tensor weight, Tensor out, std::optional<Tensor> rstd) const { … }
//   };
//   GRAFT_PLUGIN(entry<MyRMSNorm>("MyRMSNorm", "RMSNorm/1").dtypes({float32}))
//
// forward's parameters after the Call are the contract's arguments in its order: Tensor, or std::optional<Tensor> where
// the contract says OPTIONAL (or WEIGHT, if the entry prepacks). See cxx/entry.hpp for what else the class may have.
#pragma once

#include "cxx/call.hpp"
#include "cxx/entry.hpp"
#include "cxx/error.hpp"
#include "cxx/host.hpp"
#include "cxx/tensor.hpp"
#include "cxx/values.hpp"
#include "plugin.h"

// Defines graft_plugin_entry with these entries. Once per plugin, at namespace scope.
#if defined(__HIP_DEVICE_COMPILE__)  // hipcc's pass for the device would put the struct there too, without its functions
#define GRAFT_PLUGIN(...)
#else
#define GRAFT_PLUGIN(...)                                                                              \
  namespace {                                                                                          \
  ::graft::plugin::EntryTable& graft_entry_table() {                                                   \
    static ::graft::plugin::EntryTable table{__VA_ARGS__};                                             \
    return table;                                                                                      \
  }                                                                                                    \
  }                                                                                                    \
  extern "C" {                                                                                         \
  const graft_plugin graft_plugin_entry = {                                                            \
      sizeof(graft_plugin),                                                                            \
      GRAFT_ABI_MAJOR,                                                                                 \
      GRAFT_ABI_MINOR,                                                                                 \
      [](const graft_host* host) -> graft_status { return ::graft::plugin::remember_host(host); },     \
      nullptr,                                                                                         \
      []() -> uint32_t { return graft_entry_table().size(); },                                         \
      [](uint32_t index) -> const graft_entry* { return graft_entry_table().at(index); },              \
      nullptr};                                                                                        \
  }
#endif
