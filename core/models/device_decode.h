// DeviceDecode: decode on a device with streams. Each step feeds the next one there; the host reads tokens as they come and waits for none
// before it has enqueued the next step.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "decoder.h"
#include "device_graph.h"
#include "kv_cache.h"
#include "sampler.h"

namespace graft {

/// For one batch size, by kernels of the contract DecoderLayer. A step is captured as a graph when it comes for the second time, and
/// replayed from then on, also for later prompts. One thread at a time.
class DeviceDecode {
 public:
  DeviceDecode(const Decoder& decoder, const Linear& lm_head, const Sampler& sampler, const ModelConfig& config, int64_t batch,
               int64_t capacity);

  /// Whether it can serve another prompt of `batch` rows and, with what is to come, `capacity` tokens.
  bool fits(int64_t batch, int64_t capacity, const Sampling& sampling) const;

  /// For the prompt, which the model's forward appends to it.
  KVCache& cache() { return cache_; }

  /// From the prompt's last logits [B, vocab] on: chooses the first token. `draws` [steps, B] float64 in [0, 1): what decides each
  /// step's draw; undefined if greedy. `mask` [B, T] int64: 0 where the prompt is padding; undefined: nowhere.
  void begin(const at::Tensor& logits, const Sampling& sampling, const at::Tensor& draws, const at::Tensor& mask);

  /// Enqueues another step. False: a layer has no kernel that serves it, and nothing was done; only the first step after begin()
  /// may say so.
  bool step();

  /// Waits for the oldest step (begin() being one) whose tokens were not taken. Throws Error(invalid_argument) for logits that are no
  /// numbers, if there is drawing.
  std::span<const int64_t> take();

  /// Why steps are not replayed from a graph; empty if they are, or none has been captured yet.
  const std::string& why_no_graph() const { return why_no_graph_; }

 private:
  bool run();
  /// Leaves a graph of run(), or why there is none.
  void capture();
  void choose(const at::Tensor& logits);
  void send();

  const Decoder& decoder_;
  const Linear& lm_head_;
  const Sampler& sampler_;
  c10::Device device_;
  KVCache cache_;
  DecodeState state_;
  Sampling sampling_;
  SamplingOnDevice settings_;
  at::Tensor chosen_;  // [B] int64: the newest tokens, -1 where the logits were no numbers
  at::Tensor ids_;     // [B, 1] int64, if drawing: what the next step is fed until the host has seen a -1
  at::Tensor draws_, drawn_;  // [capacity, B] float64; [1] int64: how many are used up
  bool reads_settings_ = false;  // a captured step may be replayed with others; the own way of drawing has them built in
  bool ran_ = false;    // a step has run, so that what is made at a first call is there
  std::unique_ptr<DeviceGraph> graph_;
  std::string why_no_graph_;

  struct Sent {
    at::Tensor tokens;  // [B] on the host, pinned
    std::optional<c10::Event> event;
  };
  std::array<Sent, 2> sent_;
  size_t sent_count_ = 0, taken_count_ = 0;
};

}  // namespace graft
