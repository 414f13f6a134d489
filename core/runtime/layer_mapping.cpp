// LayerMapping: one layer's lines, and which of them a device and mode take.
#include <algorithm>
#include <array>
#include <limits>

#include "graft/error.h"
#include "graft/kernel_config.h"

namespace graft {
namespace {

constexpr std::array kDevices = {"", "cpu", "cuda", "rocm", "metal", "xpu", "npu", "neuron", "tpu"};

[[noreturn]] void refuse(const std::string& what, const std::string& why, const std::string& mend = {}) {
  throw Error(ErrorCode::invalid_argument, what, why, mend);
}

MappedDevice checked(MappedDevice device) {
  device.kind = mapping_device(device.kind);
  if (!device.capability) return device;
  if (device.kind != "cuda" && device.kind != "rocm")
    refuse("device '" + device.kind + "' in a kernel mapping", "has no compute capabilities", "give an interval to cuda or rocm alone");
  if (device.capability->min < 0 || device.capability->min > device.capability->max)
    refuse("device '" + device.kind + "' in a kernel mapping",
           "its interval " + std::to_string(device.capability->min) + " to " + std::to_string(device.capability->max) + " holds nothing",
           "write it as major * 10 + minor, as in {75, 89}");
  return device;
}

void check_mode(Mode mode) {
  const bool fallback = has(mode, Mode::Fallback), inference = has(mode, Mode::Inference), training = has(mode, Mode::Training);
  if (fallback ? mode != Mode::Fallback : inference == training)
    refuse("mode '" + name(mode) + "' in a kernel mapping", "is none",
           "use Inference, Training, one of them | TorchCompile, or Fallback");
}

bool same_key(const LayerMapping::Line& a, const LayerMapping::Line& b) {
  return a.device.kind == b.device.kind && a.device.capability == b.device.capability && a.mode == b.mode;
}

/// Wider than any interval if there is none.
long width(const MappedDevice& device) {
  return device.capability ? long{device.capability->max} - device.capability->min : std::numeric_limits<long>::max();
}

bool holds(const MappedDevice& device, const std::string& kind, int capability) {
  if (device.kind != kind) return false;
  return !device.capability || (device.capability->min <= capability && capability <= device.capability->max);
}

std::vector<Mode> search_order(Mode mode) {
  using enum Mode;
  if (mode == Inference) return {Inference, Inference | TorchCompile, Training, Training | TorchCompile, Fallback};
  if (mode == (Inference | TorchCompile)) return {Inference | TorchCompile, Training | TorchCompile, Fallback};
  if (mode == Training) return {Training, Training | TorchCompile, Fallback};
  return {Training | TorchCompile, Fallback};
}

}  // namespace

std::string mapping_device(const std::string& name) {
  const std::string kind = name == "mps" ? "metal" : name;
  if (std::find(kDevices.begin(), kDevices.end(), kind) == kDevices.end())
    refuse("device '" + name + "' in a kernel mapping", "there is no such device", "use cpu, cuda, rocm, metal (or mps), xpu, npu, neuron or tpu");
  return kind;
}

LayerMapping::LayerMapping(std::initializer_list<std::pair<const MappedDevice, ModeMapping>> by_device) {
  for (const auto& [given, modes] : by_device) {
    const MappedDevice device = checked(given);
    for (const auto& [mode, reference] : modes.by_mode()) {
      check_mode(mode);
      Line line{device, mode, reference};
      if (std::any_of(lines_.begin(), lines_.end(), [&](const Line& other) { return same_key(line, other); }))
        refuse("kernel mapping", "the device '" + device.kind + "' is named twice", "give each device, interval and mode one line");
      lines_.push_back(std::move(line));
    }
  }
}

const std::string* LayerMapping::find(const std::string& device, int capability, Mode mode) const {
  const MappedDevice* chosen = nullptr;
  for (const std::string& kind : {mapping_device(device), std::string()}) {
    for (const Line& line : lines_)
      if (holds(line.device, kind, capability) && (!chosen || width(line.device) < width(*chosen))) chosen = &line.device;
    if (chosen) break;
  }
  if (!chosen) return nullptr;
  for (Mode wanted : search_order(mode))
    for (const Line& line : lines_)
      if (line.device.kind == chosen->kind && line.device.capability == chosen->capability && line.mode == wanted) return &line.reference;
  return nullptr;
}

LayerMapping LayerMapping::with(const LayerMapping& other) const {
  if (std::any_of(other.lines_.begin(), other.lines_.end(), [](const Line& line) { return line.device.kind.empty(); })) return other;
  LayerMapping merged = *this;
  for (const Line& line : other.lines_) {
    auto same = std::find_if(merged.lines_.begin(), merged.lines_.end(), [&](const Line& mine) { return same_key(mine, line); });
    if (same != merged.lines_.end())
      same->reference = line.reference;
    else
      merged.lines_.push_back(line);
  }
  return merged;
}

}  // namespace graft
