#include "variant_name.h"

#include <charconv>
#include <vector>

namespace graft {
namespace {

std::optional<int> number(std::string_view text) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

/// "130" is 13.0: the last digit is the minor.
std::optional<ShortVersion> last_digit_minor(std::string_view digits) {
  auto value = number(digits);
  if (!value || digits.size() < 2) return std::nullopt;
  return ShortVersion{*value / 10, *value % 10};
}

/// "211" is 2.11: the first digit is the major.
std::optional<ShortVersion> first_digit_major(std::string_view digits) {
  auto major = number(digits.substr(0, 1)), minor = number(digits.size() < 2 ? "" : digits.substr(1));
  if (!major || !minor) return std::nullopt;
  return ShortVersion{*major, *minor};
}

/// The parts between dashes, taken from the left.
class Parts {
 public:
  explicit Parts(std::string_view text) {
    for (std::size_t begin = 0; begin <= text.size();) {
      std::size_t end = std::min(text.find('-', begin), text.size());
      parts_.push_back(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  std::size_t left() const { return parts_.size() - at_; }
  std::string_view peek(std::size_t ahead = 0) const { return ahead < left() ? parts_[at_ + ahead] : std::string_view(); }
  std::string_view take() { return parts_[at_++]; }
  void skip(std::size_t count) { at_ += count; }

 private:
  std::vector<std::string_view> parts_;
  std::size_t at_ = 0;
};

bool take_framework(Parts& parts, VariantName& name) {
  std::string_view first = parts.peek();
  std::optional<ShortVersion> version;
  if (first.starts_with("graft")) {
    name.family = VariantFamily::graft;
    if (auto major = number(first.substr(5))) version = ShortVersion{*major, 0};
    parts.skip(1);
  } else if (first == "torch" && parts.peek(1) == "stable" && parts.peek(2).starts_with("abi")) {
    name.family = VariantFamily::torch_stable_abi;
    version = first_digit_major(parts.peek(2).substr(3));
    parts.skip(3);
  } else if (first.starts_with("torch")) {
    name.family = VariantFamily::torch;
    version = first_digit_major(first.substr(5));
    parts.skip(1);
    if (parts.peek() == "cxx11" || parts.peek() == "cxx98") name.cxx11 = parts.take() == "cxx11";
  } else if (first == "tvm" && parts.peek(1).starts_with("ffi")) {
    name.family = VariantFamily::tvm_ffi;
    version = first_digit_major(parts.peek(1).substr(3));
    parts.skip(2);
  }
  if (version) name.framework = *version;
  return version.has_value();
}

bool take_backend(std::string_view text, VariantName& name) {
  for (const char* plain : {"cpu", "metal", "neuron", "tpu"})
    if (text == plain) {
      name.backend = text;
      return true;
    }
  // "cu" is last: nothing else may be read as CUDA.
  for (auto [prefix, backend] : {std::pair{"rocm", "rocm"}, {"xpu", "xpu"}, {"cann", "cann"}, {"cu", "cuda"}}) {
    if (!text.starts_with(prefix)) continue;
    auto version = last_digit_minor(text.substr(std::string_view(prefix).size()));
    if (!version) return false;
    name.backend = backend;
    name.backend_version = *version;
    return true;
  }
  return false;
}

}  // namespace

std::optional<ShortVersion> ShortVersion::parse(std::string_view text) {
  std::size_t dot = std::min(text.find('.'), text.size());
  auto major = number(text.substr(0, dot));
  if (!major) return std::nullopt;
  if (dot == text.size()) return ShortVersion{*major, 0};
  std::string_view rest = text.substr(dot + 1);
  auto minor = number(rest.substr(0, rest.find_first_not_of("0123456789")));
  if (!minor) return std::nullopt;
  return ShortVersion{*major, *minor};
}

std::optional<VariantName> VariantName::parse(std::string_view text) {
  VariantName name;
  if (text.starts_with("torch-") && !text.starts_with("torch-stable-abi")) {
    name.family = VariantFamily::noarch;
    name.backend = text.substr(6);
    if (name.backend.empty()) return std::nullopt;
    return name;
  }
  Parts parts(text);
  if (!take_framework(parts, name) || parts.left() < 3 || !take_backend(parts.take(), name)) return std::nullopt;
  name.cpu = parts.take();
  name.os = parts.take();
  if (name.cpu.empty() || name.os.empty()) return std::nullopt;
  if (parts.left() == 0) return name;
  // A CPU level stands in names of Graft's family alone, and is one of the name's own CPU.
  std::string_view level = parts.take();
  const std::string prefix = name.cpu + "_v";
  if (name.family != VariantFamily::graft || parts.left() > 0 || !level.starts_with(prefix)) return std::nullopt;
  auto value = number(level.substr(prefix.size()));
  if (!value) return std::nullopt;
  name.cpu_level = *value;
  return name;
}

}  // namespace graft
