// cuDNN by its frontend (github.com/NVIDIA/cudnn-frontend, MIT): scaled_dot_product_flash_attention and its backward.
#include "cudnn_attention.h"

// The frontend takes this from here when it is to find cuDNN by its handle.
#define NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
#define CUDNN_FRONTEND_SKIP_JSON_LIB
#include <cudnn_frontend.h>

#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "../../common/cuda/relaxed_capture.h"
#include "../../common/cuda/shared_library.h"

namespace cudnn_frontend {
void* cudnn_dlhandle = nullptr;
}

namespace graft::gpu {
namespace {

namespace fe = cudnn_frontend;
using Tensor = std::shared_ptr<fe::graph::Tensor_attributes>;
using Addresses = std::unordered_map<int64_t, void*>;

enum Uid : int64_t {
  kQ = 1, kK, kV, kOut, kLse, kGradOut, kGradQ, kGradK, kGradV,  // tensors
  kQueryLengths, kKeyLengths, kOffsetsQ, kOffsetsK, kOffsetsV, kOffsetsOut, kOffsetsLse, kOffsetsGradKeys  // of sequences
};

// Older ones are worked around by the frontend in ways that cost memory and copies, and this one is LibTorch 2.11's.
constexpr size_t kOldestVersion = 91900;

void open_cudnn() {
  static std::mutex* mutex = new std::mutex;
  const std::lock_guard lock(*mutex);
  if (fe::cudnn_dlhandle == nullptr) fe::cudnn_dlhandle = open_library("libcudnn.so.9", "nvidia-cudnn-cu13");
  if (const size_t version = fe::detail::get_backend_version(); version < kOldestVersion)
    throw plugin::Unsupported("cuDNN " + std::to_string(version) + " is older than " + std::to_string(kOldestVersion));
}

void check(cudnnStatus_t status, const char* what) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  check_launch();  // a lost device says more of itself
  throw std::runtime_error(std::string("cuDNN: ") + what + ": " + fe::detail::get_error_string(status));
}

// One of a device's handles, for as long as this lives. A handle carries the stream, so no two threads use it at once.
class Handle {
 public:
  Handle(int device, Stream stream) : device_(device) {
    {
      const std::lock_guard lock(mutex());
      std::vector<cudnnHandle_t>& idle = all()[device_];
      if (!idle.empty()) of_ = idle.back(), idle.pop_back();
    }
    if (of_ == nullptr) {
      const RelaxedCapture relaxed;
      check(fe::detail::create_handle(&of_), "creating a handle");
    }
    check(fe::detail::set_stream(of_, stream), "setting the stream");
  }
  ~Handle() {
    const std::lock_guard lock(mutex());
    all()[device_].push_back(of_);
  }
  Handle(const Handle&) = delete;
  cudnnHandle_t operator*() const { return of_; }

 private:
  // Never destroyed: gradients may be asked for until the very end.
  static std::mutex& mutex() {
    static auto* mutex = new std::mutex;
    return *mutex;
  }
  static std::map<int, std::vector<cudnnHandle_t>>& all() {
    static auto* handles = new std::map<int, std::vector<cudnnHandle_t>>;
    return *handles;
  }

  int device_;
  cudnnHandle_t of_ = nullptr;
};

// A plan of one operation, whose tensors are named by Uid.
class Graph {
 public:
  explicit Graph(const CudnnShape& shape) : shape_(shape) {
    graph_.set_io_data_type(shape.bf16 ? fe::DataType_t::BFLOAT16 : fe::DataType_t::HALF)
        .set_intermediate_data_type(fe::DataType_t::FLOAT)
        .set_compute_data_type(fe::DataType_t::FLOAT);
  }

  // most: bytes of workspace that it may want.
  void plan_forward(cudnnHandle_t handle, size_t most) {
    auto options = fe::graph::SDPA_attributes().set_generate_stats(true);
    describe(options);
    const auto [out, lse] = graph_.sdpa(q(), k(), v(), options);
    gives(out, kOut, query_rows(), tokens_first(query_rows()), kOffsetsOut);
    gives(lse, kLse, lse_rows(), as_in_memory(lse_rows()), kOffsetsLse);
    lse->set_data_type(fe::DataType_t::FLOAT);
    plan(handle, most);
  }

  void plan_backward(cudnnHandle_t handle, size_t most) {
    auto options = fe::graph::SDPA_backward_attributes().set_deterministic_algorithm(shape_.deterministic);
    describe(options);
    const Tensor out = takes(kOut, query_rows(), tokens_first(query_rows()), kOffsetsOut);
    const Tensor grad_out = takes(kGradOut, query_rows(), tokens_first(query_rows()), kOffsetsOut);
    const Tensor lse = takes(kLse, lse_rows(), as_in_memory(lse_rows()), kOffsetsLse);
    lse->set_data_type(fe::DataType_t::FLOAT);
    const auto [grad_q, grad_k, grad_v] = graph_.sdpa_backward(q(), k(), v(), out, grad_out, lse, options);
    gives(grad_q, kGradQ, query_rows(), as_in_memory(query_rows()), kOffsetsOut);
    gives(grad_k, kGradK, key_rows(), as_in_memory(key_rows()), kOffsetsGradKeys);
    gives(grad_v, kGradV, key_rows(), as_in_memory(key_rows()), kOffsetsGradKeys);
    plan(handle, most);
  }

  void run(Stream stream, Addresses& tensors, void* workspace, const CudnnSequences* sequences) const {
    if (sequences != nullptr) {
      const CudnnSequences& s = *sequences;
      tensors.insert({{kQueryLengths, s.query_lengths}, {kKeyLengths, s.key_lengths}, {kOffsetsQ, s.q}, {kOffsetsK, s.k},
                      {kOffsetsV, s.v}, {kOffsetsOut, s.out}, {kOffsetsLse, s.lse}, {kOffsetsGradKeys, s.grad_keys}});
    }
    const Handle handle(shape_.device, stream);
    fe::error_t error = graph_.execute(*handle, tensors, workspace);
    check_launch();
    if (error.is_bad()) throw std::runtime_error("cuDNN's attention failed: " + error.get_message());
  }

 private:
  using Dims = std::vector<int64_t>;  // [batch, heads, tokens, D], and strides in this order

  Dims query_rows() const { return {shape_.batch, shape_.query_heads, shape_.queries, shape_.head_dimension}; }
  Dims key_rows() const { return {shape_.batch, shape_.key_heads, shape_.keys, shape_.head_dimension}; }
  Dims lse_rows() const { return {shape_.batch, shape_.query_heads, shape_.queries, 1}; }
  // Strides of what is contiguous as [batch, heads, tokens, D] and as [batch, tokens, heads, D].
  static Dims heads_first(const Dims& dims) { return {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1}; }
  static Dims tokens_first(const Dims& dims) { return {dims[1] * dims[2] * dims[3], dims[3], dims[1] * dims[3], 1}; }
  Dims as_in_memory(const Dims& dims) const { return shape_.packed ? tokens_first(dims) : heads_first(dims); }

  Tensor numbers(Uid uid, int64_t count) {
    Tensor& known = numbers_[uid];
    if (known == nullptr) {
      known = graph_.tensor(fe::graph::Tensor_attributes().set_uid(uid).set_dim({count, 1, 1, 1}).set_stride({1, 1, 1, 1})
                                .set_data_type(fe::DataType_t::INT32));
    }
    return known;
  }
  Tensor takes(Uid uid, const Dims& dims, const Dims& strides, Uid offsets) {
    auto tensor = fe::graph::Tensor_attributes().set_uid(uid).set_dim(dims).set_stride(strides);
    if (shape_.packed) tensor.set_ragged_offset(numbers(offsets, shape_.batch + 1));
    return graph_.tensor(tensor);
  }
  Tensor takes(Uid uid, const Dims& dims, const CudnnShape::Strides& s, Uid offsets) {
    return takes(uid, dims, Dims{shape_.packed ? dims[2] * s[2] : s[0], s[1], s[2], 1}, offsets);
  }
  Tensor q() { return takes(kQ, query_rows(), shape_.q, kOffsetsQ); }
  Tensor k() { return takes(kK, key_rows(), shape_.k, kOffsetsK); }
  Tensor v() { return takes(kV, key_rows(), shape_.v, kOffsetsV); }
  void gives(const Tensor& tensor, Uid uid, const Dims& dims, const Dims& strides, Uid offsets) {
    tensor->set_output(true).set_uid(uid).set_dim(dims).set_stride(strides);
    if (shape_.packed) tensor->set_ragged_offset(numbers(offsets, shape_.batch + 1));
  }

  template <class Options>
  void describe(Options& options) {
    options.set_attn_scale(shape_.scale);
    if (shape_.packed) {
      options.set_padding_mask(true)
          .set_seq_len_q(numbers(kQueryLengths, shape_.batch))
          .set_seq_len_kv(numbers(kKeyLengths, shape_.batch))
          .set_max_total_seq_len_q(shape_.queries)
          .set_max_total_seq_len_kv(shape_.keys);
    }
    if (!shape_.causal) return;
    options.set_diagonal_alignment(shape_.queries == shape_.keys && !shape_.packed ? fe::DiagonalAlignment_t::TOP_LEFT
                                                                                   : fe::DiagonalAlignment_t::BOTTOM_RIGHT);
    options.set_diagonal_band_right_bound(0);
    if (shape_.window > 0) options.set_diagonal_band_left_bound(int(shape_.window));
  }

  void plan(cudnnHandle_t handle, size_t most) {
    const auto must = [](fe::error_t error) {
      check_launch();
      if (error.is_bad()) throw plugin::Unsupported("cuDNN has no kernel for this attention: " + error.get_message());
    };
    must(graph_.build(handle, {fe::HeurMode_t::A}));
    int64_t wanted = 0;
    must(graph_.get_workspace_size(wanted));
    if (size_t(wanted) > most)
      throw plugin::Unsupported("cuDNN wants " + std::to_string(wanted) + " bytes of workspace for this attention, more than " +
                                std::to_string(most));
  }

  const CudnnShape shape_;
  fe::graph::Graph graph_;
  std::map<Uid, Tensor> numbers_;
};

constexpr size_t kFloat = sizeof(float), kSlack = size_t{1} << 20;

// Of all query heads, in whole tiles.
size_t rows(const CudnnShape& shape, int64_t tokens) {
  constexpr int64_t kTile = 128;
  return size_t((shape.packed ? 1 : shape.batch) * shape.query_heads * ((tokens + kTile - 1) / kTile * kTile));
}
}  // namespace

bool cudnn_may_serve(const CudnnShape& shape) {
  const int64_t divisor = shape.packed ? 16 : 8;  // of a head's dimension
  for (const auto* strides : {&shape.q, &shape.k, &shape.v}) {
    for (size_t i = shape.packed ? 1 : 0; i < strides->size(); ++i)
      if ((*strides)[i] <= 0 || (*strides)[i] % 8 != 0) return false;  // rows begin at multiples of 16 bytes
  }
  return shape.head_dimension % divisor == 0 && shape.head_dimension <= 128 && shape.batch > 0 && shape.queries > 0 &&
         shape.keys > 0 && shape.query_heads > 0 && (!shape.causal || shape.packed || shape.queries <= shape.keys) &&
         (shape.window == 0 || shape.causal) && shape.window < int64_t{1} << 31;
}

size_t cudnn_forward_workspace(const CudnnShape& shape) {
  return kSlack + rows(shape, shape.queries) * kFloat;
}

// The gradient of q is summed up in float32, and so are those of k and v for each query head where heads share keys.
size_t cudnn_backward_workspace(const CudnnShape& shape) {
  const size_t d = size_t(shape.head_dimension), of_keys = shape.query_heads == shape.key_heads ? 0 : 2 * d;
  return kSlack + kFloat * (rows(shape, shape.queries) * (d + 1) + rows(shape, shape.keys) * of_keys);
}

struct CudnnAttention::Graphs {
  Graph forward, backward;
  explicit Graphs(const CudnnShape& shape) : forward(shape), backward(shape) {
    const Handle handle(shape.device, nullptr);
    forward.plan_forward(*handle, cudnn_forward_workspace(shape));
    backward.plan_backward(*handle, cudnn_backward_workspace(shape));
  }
};

CudnnAttention::CudnnAttention(std::unique_ptr<const Graphs> graphs) : graphs_(std::move(graphs)) {}
CudnnAttention::~CudnnAttention() = default;

std::shared_ptr<const CudnnAttention> CudnnAttention::of(const CudnnShape& shape) {
  static auto* mutex = new std::shared_mutex;  // never destroyed, as the library is not
  static auto* known = new std::map<CudnnShape, std::shared_ptr<const CudnnAttention>>;
  constexpr size_t kMost = 256;  // rather start anew than grow without end
  {
    const std::shared_lock lock(*mutex);
    if (const auto found = known->find(shape); found != known->end()) return found->second;
  }
  open_cudnn();
  const RelaxedCapture relaxed;
  auto made = std::make_shared<const CudnnAttention>(std::make_unique<const Graphs>(shape));
  const std::unique_lock lock(*mutex);
  if (known->size() >= kMost) known->clear();
  return known->insert_or_assign(shape, std::move(made)).first->second;
}

void CudnnAttention::run(Stream stream, const Forward& t, void* workspace, const CudnnSequences* sequences) const {
  const auto in = [](const void* data) { return const_cast<void*>(data); };
  Addresses tensors{{kQ, in(t.q)}, {kK, in(t.k)}, {kV, in(t.v)}, {kOut, t.out}, {kLse, t.lse}};
  graphs_->forward.run(stream, tensors, workspace, sequences);
}

void CudnnAttention::run(Stream stream, const Backward& t, void* workspace, const CudnnSequences* sequences) const {
  const auto in = [](const void* data) { return const_cast<void*>(data); };
  Addresses tensors{{kQ, in(t.q)},     {kK, in(t.k)},           {kV, in(t.v)},       {kOut, in(t.out)},  {kLse, in(t.lse)},
                    {kGradQ, t.grad_q}, {kGradOut, in(t.grad_out)}, {kGradK, t.grad_k}, {kGradV, t.grad_v}};
  graphs_->backward.run(stream, tensors, workspace, sequences);
}

}  // namespace graft::gpu
