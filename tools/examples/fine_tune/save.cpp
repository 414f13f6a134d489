#include "save.h"

#include <string>

#include "graft/error.h"
#include "graft/safetensors.h"

namespace fs = std::filesystem;

namespace {

graft::SafetensorsDType dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return graft::SafetensorsDType::F32;
    case at::kBFloat16:
      return graft::SafetensorsDType::BF16;
    case at::kHalf:
      return graft::SafetensorsDType::F16;
    default:
      throw graft::Error(graft::ErrorCode::unsupported, "saving the model",
                         "its dtype is none that models have", "train it in float32 or bfloat16");
  }
}

}  // namespace

void save_pretrained(const graft::PreTrainedModel& model, const fs::path& from, const fs::path& to) try {
  std::vector<std::pair<std::string, graft::TensorView>> tensors;
  std::vector<at::Tensor> whole;  // keeps what `tensors` points to
  for (const auto& parameter : model.named_parameters()) {
    whole.push_back(parameter.value().detach().contiguous());
    const at::Tensor& tensor = whole.back();
    tensors.push_back({parameter.key(),
                       {dtype_of(tensor), tensor.sizes().vec(),
                        static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()}});
  }
  fs::create_directories(to);
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                           "special_tokens_map.json", "chat_template.jinja"}) {
    if (!fs::exists(from / name) || fs::exists(to / name)) continue;  // the model's own folder has them
    fs::copy_file(from / name, to / name);
  }
  graft::save_safetensors(to / "model.safetensors", tensors, {{"format", "pt"}});
} catch (const fs::filesystem_error& error) {
  throw graft::Error(graft::ErrorCode::io, "saving the model to " + to.string(), error.code().message(),
                     "give --output a folder that can be written");
}
