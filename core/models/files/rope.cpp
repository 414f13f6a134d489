#include "graft/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "graft/model_config.h"

namespace graft {
namespace {

// theta^(2i / dim), in float32 as torch computes it: the model was trained with these roundings.
std::vector<float> position_periods(double theta, std::int64_t dim) {
  std::vector<float> periods(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < periods.size(); ++i) {
    periods[i] = std::pow(static_cast<float>(theta), static_cast<float>(2 * i) / static_cast<float>(dim));
  }
  return periods;
}

std::vector<float> inverse(std::vector<float> periods) {
  for (float& value : periods) value = 1.0f / value;
  return periods;
}

// Long wavelengths are stretched by the factor, short ones kept, those between blended.
std::vector<float> llama3(const RopeParameters& rope, std::vector<float> inv_freq) {
  const auto context = static_cast<double>(rope.original_max_position_embeddings);
  const auto low_wavelength = static_cast<float>(context / rope.low_freq_factor);
  const auto high_wavelength = static_cast<float>(context / rope.high_freq_factor);
  const auto factor = static_cast<float>(rope.factor);
  for (float& frequency : inv_freq) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / frequency;
    if (wavelength > low_wavelength) {
      frequency /= factor;
    } else if (wavelength >= high_wavelength) {
      const float smooth =
          (static_cast<float>(context) / wavelength - static_cast<float>(rope.low_freq_factor)) /
          static_cast<float>(rope.high_freq_factor - rope.low_freq_factor);
      frequency = (1 - smooth) * frequency / factor + smooth * frequency;
    }
  }
  return inv_freq;
}

// The dimension whose frequency turns `rotations` times over the original context.
double correction_dim(const RopeParameters& rope, double rotations, std::int64_t dim) {
  const auto context = static_cast<double>(rope.original_max_position_embeddings);
  return static_cast<double>(dim) * std::log(context / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

std::vector<float> yarn(const RopeParameters& rope, std::int64_t dim) {
  double low = correction_dim(rope, rope.beta_fast, dim), high = correction_dim(rope, rope.beta_slow, dim);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;

  std::vector<float> inv_freq = position_periods(rope.theta, dim);
  for (std::size_t i = 0; i < inv_freq.size(); ++i) {
    const float period = inv_freq[i];
    const float ramp = std::clamp(
        (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float extrapolated = 1 - ramp;
    inv_freq[i] =
        1.0f / (static_cast<float>(rope.factor) * period) * (1 - extrapolated) + 1.0f / period * extrapolated;
  }
  return inv_freq;
}

float yarn_attention_scaling(const RopeParameters& rope) {
  if (rope.attention_factor) return static_cast<float>(*rope.attention_factor);
  const auto scale = [&](double mscale) {
    return rope.factor <= 1 ? 1.0 : 0.1 * mscale * std::log(rope.factor) + 1.0;
  };
  const double mscale = rope.mscale.value_or(0), all_dim = rope.mscale_all_dim.value_or(0);
  return static_cast<float>(mscale != 0 && all_dim != 0 ? scale(mscale) / scale(all_dim) : scale(1.0));
}

// The base grows with the sequence, so that its longest wavelength does.
double dynamic_theta(const ModelConfig& config, std::int64_t sequence_length) {
  const auto longest = static_cast<double>(config.max_position_embeddings);
  const double length = std::max(static_cast<double>(sequence_length), longest);
  const auto dim = static_cast<double>(config.head_dim);
  if (dim <= 2) return config.rope.theta;  // one frequency, 1, whatever the base
  return config.rope.theta *
         std::pow(config.rope.factor * length / longest - (config.rope.factor - 1), dim / (dim - 2));
}

}  // namespace

RopeFrequencies rope_inverse_frequencies(const ModelConfig& config, std::int64_t sequence_length) {
  const RopeParameters& rope = config.rope;
  switch (rope.type) {
    case RopeType::default_:
      return {inverse(position_periods(rope.theta, config.head_dim))};
    case RopeType::linear: {
      auto inv_freq = inverse(position_periods(rope.theta, config.head_dim));
      for (float& frequency : inv_freq) frequency /= static_cast<float>(rope.factor);
      return {std::move(inv_freq)};
    }
    case RopeType::dynamic:
      return {inverse(position_periods(dynamic_theta(config, sequence_length), config.head_dim))};
    case RopeType::llama3:
      return {llama3(rope, inverse(position_periods(rope.theta, config.head_dim)))};
    case RopeType::yarn:
      return {yarn(rope, config.head_dim), yarn_attention_scaling(rope)};
  }
  return {};
}

}  // namespace graft
