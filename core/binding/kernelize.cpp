#include "graft/kernelize.h"

#include <torch/nn/module.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>

#include "decide.h"
#include "event_sink.h"
#include "module_members.h"
#include "near_names.h"
#include "speed_trial.h"

namespace graft {
namespace {

std::vector<Layer> layers_of(const torch::nn::Module& module) {
  std::vector<Layer> layers;
  walk(module, [&](const std::string& path, const torch::nn::Module& each) {
    for (auto& slot : slot_registry::of(&each)) layers.push_back({path, std::move(slot)});
  });
  return layers;
}

std::set<std::string> names_of(const std::vector<Layer>& layers) {
  std::set<std::string> names;
  for (const Layer& layer : layers) names.insert(layer.slot->layer());
  return names;
}

std::vector<std::string> unknown_layers(const KernelConfig& config, const std::vector<Layer>& layers) {
  std::vector<std::string> warnings;
  for (const auto& [name, mapping] : config.layers()) {
    if (std::any_of(layers.begin(), layers.end(),
                    [&](const Layer& layer) { return layer.slot->layer() == name; }))
      continue;
    const std::set<std::string> names = names_of(layers);
    std::string warning = "no layer of this model is called '" + name + "'";
    const std::string near = near_name(name, names);
    if (!near.empty()) warning += "; did you mean '" + near + "'?";
    std::string all;
    for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
    warnings.push_back(warning + " (it has " + (all.empty() ? "no layer that can be mapped" : all) + ")");
  }
  return warnings;
}

/// Slots inside a module whose own slot is bound do not run: say so. They come after it in the walk, and
/// before all that is not inside.
void mark_covered(const std::vector<Layer>& layers, BindReport& report) {
  for (size_t i = 0; i < layers.size(); ++i) {
    const auto& [path, slot] = layers[i];
    const std::vector<std::string>& covers = slot->options().covers;
    if (covers.empty() || !slot->options().covers_all_calls || report.layers[i].state != LayerState::bound)
      continue;
    const std::string by = path + " (" + slot->layer() + ")", prefix = path.empty() ? "" : path + ".";
    for (size_t below = i + 1; below < layers.size(); ++below) {
      const std::string_view its_path = layers[below].path;
      if (its_path == path) continue;
      if (!its_path.starts_with(prefix)) break;
      if (std::find(covers.begin(), covers.end(), its_path.substr(prefix.size())) != covers.end())
        report.layers[below].covered_by = by;
    }
  }
}

/// The report of layers' lines; warns of mapped names that no layer has.
BindReport gather(const std::vector<Layer>& layers, std::vector<LayerReport> lines, const KernelizeOptions& options,
                  const std::vector<std::string>& warnings = {}) {
  BindReport report;
  report.layers = std::move(lines);
  mark_covered(layers, report);
  if (!options.kernel_config) return report;
  report.warnings = unknown_layers(*options.kernel_config, layers);
  report.warnings.insert(report.warnings.end(), warnings.begin(), warnings.end());
  return report;
}

std::vector<LayerReport> lines_in_force(const std::vector<Layer>& layers) {
  std::vector<LayerReport> lines;
  lines.reserve(layers.size());
  for (const Layer& layer : layers) lines.push_back(layer.slot->report(layer.path));
  return lines;
}

/// What was decided for each mode that the layer may come to run in.
struct Decisions {
  Decision inference, training;
  SlotBinding::Chosen chosen = SlotBinding::Chosen::by_module;

  const Decision& now(bool is_training) const {
    const bool trains = chosen == SlotBinding::Chosen::by_module ? is_training : chosen == SlotBinding::Chosen::training;
    return trains ? training : inference;
  }
};

Decisions decide_modes(Decider& decider, const Layer& layer, std::optional<Mode> mode) {
  Decisions decisions;
  if (!mode) {
    decisions.inference = decider.decide(layer, Mode::Inference);
    decisions.training = decider.decide(layer, Mode::Training, &decisions.inference);
  } else if (has(*mode, Mode::Training)) {
    decisions.chosen = SlotBinding::Chosen::training;
    decisions.training = decider.decide(layer, *mode);
  } else {
    decisions.chosen = SlotBinding::Chosen::inference;
    decisions.inference = decider.decide(layer, *mode);
  }
  return decisions;
}

/// Null: the kernel always runs, and its line says why if there is one.
std::shared_ptr<SpeedTrial> trial_of(SpeedTrials& trials, const SlotState& layer, Decision& inference) {
  if (inference.kernel == nullptr) return nullptr;
  std::string why;
  std::shared_ptr<SpeedTrial> trial = trials.of(layer, *inference.kernel, why);
  std::string& reason = inference.line.reason;
  if (!why.empty()) reason += (reason.empty() ? "" : "; ") + why;
  return trial;
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

}  // namespace

BindReport kernelize(torch::nn::Module& module, const KernelizeOptions& options) {
  const auto start = Clock::now();
  Decider decider(module, options, Decider::Make::kernels);
  const std::vector<Layer> layers = layers_of(module);
  decider.survey(module, layers);
  SpeedTrials trials;
  for (const Layer* each : decider.in_binding_order(layers)) {
    const Layer& layer = *each;
    const auto layer_start = Clock::now();
    Decisions decisions = decide_modes(decider, layer, options.mode);
    std::shared_ptr<SpeedTrial> trial;
    if (options.kernel_policy == KernelPolicy::fastest) trial = trial_of(trials, *layer.slot, decisions.inference);
    const std::optional<Error> refused = decisions.now(module.is_training()).refused;
    layer.slot->bind({.module = layer.path,
                      .inference = std::move(decisions.inference.kernel),
                      .training = std::move(decisions.training.kernel),
                      .inference_chain = std::move(decisions.inference.chain),
                      .training_chain = std::move(decisions.training.chain),
                      .inference_line = std::move(decisions.inference.line),
                      .training_line = std::move(decisions.training.line),
                      .trial = std::move(trial),
                      .chosen = decisions.chosen,
                      .use_fallback = options.use_fallback || refused});  // it is left as it was
    if (event_sink::is_heard()) event_sink::tell(layer.slot->report(), seconds_since(layer_start));
    if (refused && !options.use_fallback) throw *refused;
  }
  BindReport report = gather(layers, lines_in_force(layers), options, decider.warnings());
  report.seconds = seconds_since(start);
  return report;
}

BindReport plan_kernels(const torch::nn::Module& module, const KernelizeOptions& options) {
  const auto start = Clock::now();
  Decider decider(module, options, Decider::Make::report_alone);
  const std::vector<Layer> layers = layers_of(module);
  decider.survey(module, layers);
  std::vector<LayerReport> lines;
  for (const Layer& layer : layers) {
    Decision decision = decider.decide(layer, decider.modes().front());
    lines.push_back(decision.line.report(layer.slot->layer(), layer.path));
    if (decision.refused && !options.use_fallback) throw *decision.refused;
  }
  BindReport report = gather(layers, std::move(lines), options, decider.warnings());
  report.seconds = seconds_since(start);
  return report;
}

BindReport kernel_report(const torch::nn::Module& module) {
  const std::vector<Layer> layers = layers_of(module);
  return gather(layers, lines_in_force(layers), {});
}

std::set<std::string> kernel_layers(const torch::nn::Module& module) { return names_of(layers_of(module)); }

void unkernelize(torch::nn::Module& module) {
  for (const Layer& layer : layers_of(module)) {
    const LayerLine line{LayerState::own, nullptr, "not kernelized"};
    layer.slot->bind({.module = layer.path, .inference_line = line, .training_line = line});
    if (event_sink::is_heard()) event_sink::tell(layer.slot->report());
  }
}

}  // namespace graft
