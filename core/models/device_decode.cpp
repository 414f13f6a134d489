#include "device_decode.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/clamp_min.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "graft/error.h"
#include "kernel_call.h"

namespace graft {

DeviceDecode::DeviceDecode(const Decoder& decoder, const Linear& lm_head, const Sampler& sampler, const ModelConfig& config,
                           int64_t batch, int64_t capacity)
    : decoder_(decoder),
      lm_head_(lm_head),
      sampler_(sampler),
      device_(decoder.embedding().device()),
      cache_(config, batch, capacity, decoder.embedding().options().requires_grad(false)),
      settings_(device_) {
  const at::TensorOptions whole = at::TensorOptions(device_).dtype(at::kLong);
  std::tie(state_.cos, state_.sin) = decoder.rotary(at::arange(capacity, whole), capacity);
  state_.cache = &cache_;
  state_.length = at::zeros({batch}, whole.dtype(at::kInt));
  chosen_ = at::zeros({batch}, whole);
  ids_ = at::zeros({batch, 1}, whole);
  draws_ = at::zeros({capacity, batch}, whole.dtype(at::kDouble));
  drawn_ = at::zeros({1}, whole);
  for (Sent& sent : sent_) {
    sent.tokens = at::empty({batch}, at::TensorOptions(at::kLong).pinned_memory(true));
    sent.event.emplace(device_.type());
  }
}

bool DeviceDecode::fits(int64_t batch, int64_t capacity, const Sampling& sampling) const {
  const bool same = sampling == sampling_ || (sampling.do_sample && sampling_.do_sample && reads_settings_);
  return chosen_.size(0) == batch && cache_.capacity() >= capacity && same;
}

void DeviceDecode::begin(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& draws, const at::Tensor& mask) {
  sampling_ = sampling;
  settings_.set(sampling);
  sent_count_ = taken_count_ = 0;
  if (mask.defined()) {
    const at::Tensor real = mask.ne(0);
    cache_.pack(real);
    state_.length.copy_(real.sum(1));
  } else {
    state_.length.fill_(cache_.length());
  }
  drawn_.zero_();
  if (draws.defined()) draws_.narrow(0, 0, draws.size(0)).copy_(draws);
  choose(logits);
  send();
}

bool DeviceDecode::step() {
  const c10::DeviceGuard on_its_device(device_);
  if (graph_ == nullptr && ran_ && why_no_graph_.empty()) capture();
  if (graph_ != nullptr) {
    graph_->replay();
  } else if (!run()) {
    return false;
  }
  ran_ = true;
  send();
  return true;
}

void DeviceDecode::capture() try {
  if (cuda_services() == nullptr) throw Error(ErrorCode::unsupported, "decode", "libgraft_cuda.so is not beside libgraft.so");
  graph_ = cuda_services()->capture(device_, [&] {
    const Capturing capturing;
    if (!run()) throw Error(ErrorCode::unsupported, "decode", "a kernel is not GRAPH_SAFE");
  });
} catch (const Error& error) {
  why_no_graph_ = error.why();
} catch (const c10::Error& error) {
  why_no_graph_ = "it could not be captured: " + error.msg();
}

bool DeviceDecode::run() {
  const at::Tensor hidden = decoder_.step(sampling_.do_sample ? ids_ : chosen_.unsqueeze(1), state_);
  if (!hidden.defined()) return false;
  choose(lm_head_.forward(hidden).select(1, -1));
  state_.length.add_(1);
  return true;
}

void DeviceDecode::choose(const at::Tensor& logits) {
  if (!sampling_.do_sample) {
    chosen_.copy_(next_tokens_on_device(logits, sampling_, {}));
    return;
  }
  const at::Tensor uniform = draws_.index_select(0, drawn_).squeeze(0);
  reads_settings_ = true;
  chosen_.copy_(sampler_.forward(logits, uniform, settings_, [&] {
    reads_settings_ = false;
    return next_tokens_on_device(logits, sampling_, uniform);
  }));
  at::clamp_min_out(ids_, chosen_.unsqueeze(1), 0);
  drawn_.add_(1);
}

void DeviceDecode::send() {
  Sent& sent = sent_[sent_count_++ % sent_.size()];
  sent.tokens.copy_(chosen_, /*non_blocking=*/true);
  sent.event->record(current_stream(device_));
}

std::span<const int64_t> DeviceDecode::take() {
  Sent& sent = sent_[taken_count_++ % sent_.size()];
  sent.event->synchronize();
  const auto* tokens = sent.tokens.const_data_ptr<int64_t>();
  const auto rows = size_t(chosen_.size(0));
  if (std::any_of(tokens, tokens + rows, [](int64_t token) { return token < 0; })) throw logits_are_no_numbers();
  return {tokens, rows};
}

}  // namespace graft
