// The kernel: the normalisation is folded into the weights once, so that a call is one pass.
#include <algorithm>
#include <cmath>
#include <graft/plugin.hpp>
#include <vector>

using namespace graft::plugin;

struct ConvBNReLU {
  explicit ConvBNReLU(const Attributes& attributes) : eps(attributes.number("eps")) {}

  void prepare(Arguments arguments) {
    const Tensor given = arguments.tensor(1);
    const int64_t outputs = given.size(0), each = given.numel() / std::max<int64_t>(outputs, 1);
    weight.assign(given.data<float>(), given.data<float>() + given.numel());
    bias.resize(size_t(outputs));
    for (int64_t o = 0; o < outputs; ++o) {
      const auto of = [&](int i) { return arguments.tensor(i).data<float>()[o]; };
      const float scale = float(of(2) / std::sqrt(of(5) + eps));
      for (int64_t i = 0; i < each; ++i) weight[size_t(o * each + i)] *= scale;
      bias[size_t(o)] = of(3) - of(4) * scale;
    }
  }

  // Weights are absent, for the entry says that it packs them.
  void forward(const Call& call, Tensor x, std::optional<Tensor>, std::optional<Tensor>, std::optional<Tensor>,
               std::optional<Tensor>, std::optional<Tensor>, Tensor out) const {
    const int64_t outputs = out.size(1);
    call.parallel_for(x.size(0) * outputs, 1, [&](int64_t begin, int64_t end, uint32_t) {
      for (int64_t plane = begin; plane < end; ++plane) convolve(x, out, plane / outputs, plane % outputs);
    });
  }

  void convolve(const Tensor& x, const Tensor& out, int64_t image, int64_t o) const {
    const int64_t channels = x.size(1), height = x.size(2), width = x.size(3), area = height * width;
    float* to = out.data<float>() + (image * out.size(1) + o) * area;
    std::fill(to, to + area, bias[size_t(o)]);
    for (int64_t c = 0; c < channels; ++c) {
      const float* from = x.data<float>() + (image * channels + c) * area;
      for (int64_t dy = -1; dy <= 1; ++dy) {
        for (int64_t dx = -1; dx <= 1; ++dx) {
          const float w = weight[size_t(((o * channels + c) * 3 + dy + 1) * 3 + dx + 1)];
          for (int64_t y = std::max<int64_t>(0, -dy); y < std::min(height, height - dy); ++y)
            for (int64_t i = std::max<int64_t>(0, -dx); i < std::min(width, width - dx); ++i)
              to[y * width + i] += w * from[(y + dy) * width + i + dx];
        }
      }
    }
    for (int64_t i = 0; i < area; ++i) to[i] = std::max(to[i], 0.0f);
  }

  double eps;
  std::vector<float> weight, bias;
};

GRAFT_PLUGIN(entry<ConvBNReLU>("ConvBNReLU", "ConvBNReLU/1").flags(GRAFT_ENTRY_PREPACKS))
