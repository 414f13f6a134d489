#include "graft/generation_config.h"

#include "json_text.h"
#include "token_ids.h"

namespace graft {

GenerationConfig load_generation_config(const std::filesystem::path& folder, const ModelConfig& model) {
  const auto path = folder / "generation_config.json";
  const auto text = detail::read_text_if_there(path);
  return parse_generation_config(text.value_or("{}"), model, path.string());
}

GenerationConfig parse_generation_config(std::string_view json, const ModelConfig& model,
                                         const std::string& source) {
  const detail::Json parsed = detail::parse_object(json, source);
  const detail::Fields fields(parsed, source);
  GenerationConfig config;
  config.do_sample = fields.boolean("do_sample", config.do_sample);
  config.temperature = fields.number("temperature").value_or(config.temperature);
  if (config.temperature < 0) fields.fail("temperature", "is negative");
  config.top_k = fields.integer("top_k").value_or(config.top_k);
  if (config.top_k < 0) fields.fail("top_k", "is negative");
  config.top_p = fields.number("top_p").value_or(config.top_p);
  if (config.top_p <= 0 || config.top_p > 1) fields.fail("top_p", "is not in (0, 1]");
  config.repetition_penalty = fields.number("repetition_penalty").value_or(config.repetition_penalty);
  if (config.repetition_penalty <= 0) fields.fail("repetition_penalty", "is not positive");
  config.max_new_tokens = fields.integer("max_new_tokens");
  if (config.max_new_tokens && *config.max_new_tokens <= 0) fields.fail("max_new_tokens", "is not positive");

  const auto bos = detail::token_id(fields, "bos_token_id"), pad = detail::token_id(fields, "pad_token_id");
  config.bos_token_id = bos ? bos : model.bos_token_id;
  config.pad_token_id = pad ? pad : model.pad_token_id;
  config.eos_token_ids = detail::token_ids(fields, "eos_token_id");
  if (config.eos_token_ids.empty()) config.eos_token_ids = model.eos_token_ids;
  return config;
}

}  // namespace graft
