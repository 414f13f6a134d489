// graft new: a kernel repo to begin with, for one contract. It builds, and leaves every call to the layer's own forward until its
// author has written what it is for.
#include <fmt/format.h>
#include <graft/contracts.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "command.h"
#include "graft/error.h"
#include "graft/hub.h"
#include "near_names.h"
#include "terminal.h"

namespace graft {
namespace {

namespace fs = std::filesystem;

struct NewCommand {
  std::string repo, contract = "RMSNorm/1", entry;
  fs::path into;
};

std::string without_version(std::string_view contract) { return std::string(contract.substr(0, contract.find('/'))); }

/// By "RMSNorm/1" or "RMSNorm".
const graft_contract& contract_named(const std::string& name) {
  std::vector<std::string> names;
  for (const graft_contract* contract : graft_standard_contracts) {
    names.push_back(without_version(contract->name));
    if (contract->name == name || names.back() == name) return *contract;
  }
  const std::string near = near_names(without_version(name), names);
  throw Error(ErrorCode::invalid_argument, "--contract \"" + name + "\"", "is no standard contract", near.empty() ? "see graft/contracts/" : near);
}

/// "rotary_pos_emb/1" → "MyRotaryPosEmb"
std::string default_entry(std::string_view contract) {
  std::string name = "My";
  bool upper = true;
  for (const char c : without_version(contract)) {
    if (c == '_') {
      upper = true;
      continue;
    }
    name += upper ? char(std::toupper(static_cast<unsigned char>(c))) : c;
    upper = false;
  }
  return name;
}

bool is_identifier(const std::string& name) {
  const auto letter = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; };
  return !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0 && std::all_of(name.begin(), name.end(), letter);
}

/// As a CMake target and a file are called.
std::string target_of(const std::string& repo) {
  std::string name = repo.substr(repo.find('/') + 1);
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return std::isdigit(static_cast<unsigned char>(name[0])) != 0 ? "_" + name : name;
}

std::string described(const graft_argument& argument) {
  std::string text = fmt::format("  // {}: {} {}", argument.name, argument.dtype, argument.shape == nullptr ? "of a shape that infer() gives" : fmt::format("[{}]", argument.shape));
  const std::pair<bool, const char*> marks[] = {
      {(argument.flags & GRAFT_ARG_WEIGHT) != 0, "a weight"},         {(argument.flags & GRAFT_ARG_OPTIONAL) != 0, "may be absent"},
      {argument.direction == GRAFT_OUT, "written"},                   {argument.direction == GRAFT_INOUT, "changed in place"},
      {(argument.flags & GRAFT_ARG_SAVED) != 0, "for backward alone"},
  };
  for (const auto& [is, what] : marks)
    if (is) text += fmt::format(", {}", what);
  return text + "\n";
}

bool optional(const graft_argument& argument) { return (argument.flags & (GRAFT_ARG_OPTIONAL | GRAFT_ARG_SAVED)) != 0; }

std::string source_for(const std::string& entry, const graft_contract& contract) {
  std::string members, initializers, arguments, parameters;
  for (uint32_t i = 0; i < contract.attribute_count; ++i) {
    const graft_attribute& attribute = contract.attributes[i];
    const std::map<uint32_t, std::pair<const char*, const char*>> kinds = {
        {GRAFT_BOOL, {"bool", "boolean"}}, {GRAFT_INT, {"int64_t", "integer"}}, {GRAFT_FLOAT, {"double", "number"}}, {GRAFT_STRING, {"std::string", "string"}}};
    const auto& [type, getter] = kinds.at(attribute.tag);
    members += fmt::format("  {} {};\n", type, attribute.name);
    if (i + 1 == contract.attribute_count) members += "\n";
    initializers += fmt::format("{}{}(attributes.{}(\"{}\"))", initializers.empty() ? " : " : ", ", attribute.name, getter, attribute.name);
  }
  for (uint32_t i = 0; i < contract.argument_count; ++i) {
    const graft_argument& argument = contract.arguments[i];
    arguments += described(argument);
    parameters += fmt::format(", {} {}", optional(argument) ? "std::optional<Tensor>" : "Tensor", argument.name);
  }
  return fmt::format(R"(// {entry}: a kernel for {contract}, which graft/contracts/ describes. graft/plugin.hpp is the manual.
#include <graft/contracts.h>

#include <graft/plugin.hpp>
#include <optional>
#include <string>

using namespace graft::plugin;

struct {entry} {{
{members}  explicit {entry}(const Attributes&{attributes}){initializers} {{}}

{arguments}  void forward(const Call&{parameters}) const {{
    throw Unsupported("{entry} leaves this call to the layer's own forward");  // write the kernel here
  }}
}};

GRAFT_PLUGIN(entry<{entry}>("{entry}", "{contract}"))
)",
                     fmt::arg("entry", entry), fmt::arg("contract", contract.name), fmt::arg("members", members),
                     fmt::arg("attributes", contract.attribute_count > 0 ? " attributes" : ""), fmt::arg("initializers", initializers),
                     fmt::arg("arguments", arguments), fmt::arg("parameters", parameters));
}

std::string cmake_for(const std::string& repo, const std::string& target) {
  return fmt::format(R"(cmake_minimum_required(VERSION 3.22)
project({target} LANGUAGES C CXX)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
find_package(graft REQUIRED COMPONENTS plugin_api)  # -DCMAKE_PREFIX_PATH=where Graft is installed
graft_add_plugin({target} REPO {repo} VERSION 0.1.0 SOURCES {target}.cpp)
)",
                     fmt::arg("target", target), fmt::arg("repo", repo));
}

std::string readme_for(const std::string& repo, const std::string& entry, std::string_view contract) {
  return fmt::format(R"(# {repo}

`{entry}` for {contract}.

```
cmake -B build && cmake --build build
graft check build/repos/{repo}   # what is wrong with it
graft bench $PWD/build/repos/{repo}:{entry}   # whether its results are right, and how fast they come
graft run MODEL --prompt TEXT --map {layer}=$PWD/build/repos/{repo}:{entry}
graft pack build/repos/{repo} --hub HUB --repo {repo} --tag v0.1.0
```
)",
                     fmt::arg("repo", repo), fmt::arg("entry", entry), fmt::arg("contract", contract),
                     fmt::arg("layer", without_version(contract)));
}

void write(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  if (!(file << text).flush()) throw Error(ErrorCode::io, path.string(), "it could not be written");
}

int make(NewCommand command, bool json) {
  check_repo_name(command.repo);
  const graft_contract& contract = contract_named(command.contract);
  if (command.entry.empty()) command.entry = default_entry(contract.name);
  if (!is_identifier(command.entry))
    throw Error(ErrorCode::invalid_argument, "--entry \"" + command.entry + "\"", "is no name in C++", "letters, digits and underscores");
  if (command.into.empty()) command.into = command.repo.substr(command.repo.find('/') + 1);
  if (fs::exists(command.into)) throw Error(ErrorCode::invalid_argument, command.into.string(), "is there already", "name another folder: --into DIR");

  const std::string target = target_of(command.repo);
  const std::map<std::string, std::string> files = {{target + ".cpp", source_for(command.entry, contract)},
                                                    {"CMakeLists.txt", cmake_for(command.repo, target)},
                                                    {"README.md", readme_for(command.repo, command.entry, contract.name)}};
  // Made beside its place, so that it is there whole or not at all.
  const fs::path folder = fs::absolute(command.into).lexically_normal();
  const fs::path partial = folder.parent_path() / fmt::format(".{}.partial-{}", folder.filename().string(), getpid());
  const std::shared_ptr<void> cleanup(nullptr, [&partial](void*) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
  });
  try {
    fs::create_directories(partial);
    for (const auto& [name, text] : files) write(partial / name, text);
    fs::rename(partial, folder);
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::io, folder.string(), error.code().message());
  }

  if (json) {
    nlohmann::ordered_json object = {{"repo", command.repo}, {"folder", folder.string()}, {"entry", command.entry}, {"contract", contract.name}};
    for (const auto& [name, text] : files) object["files"].push_back(name);
    fmt::print("{}\n", object.dump(2));
    return kDone;
  }
  fmt::print("{} {}  {} for {}\n", styled("made", Style::green), printable(command.into.string()), command.entry, contract.name);
  for (const auto& [name, text] : files) fmt::print("  {}\n", name);
  fmt::print("its README.md says how it is built and bound\n");
  return kDone;
}

}  // namespace

void add_new(CLI::App& app, CommandLine& line) {
  CLI::App* command = add_command(app, line, "new", "Begin a kernel: a folder that builds, with one entry for one contract",
                                  "graft new me/my-norm --contract RMSNorm/1\n  cmake -S my-norm -B my-norm/build && cmake --build my-norm/build");
  auto options = std::make_shared<NewCommand>();
  std::vector<std::string> contracts;
  for (const graft_contract* contract : graft_standard_contracts) contracts.emplace_back(contract->name);
  command->add_option("REPO", options->repo, "org/name")->required();
  command->add_option("--contract", options->contract, "what the kernel is for: " + fmt::format("{}", fmt::join(contracts, ", ")))->capture_default_str();
  command->add_option("--entry", options->entry, "its name (default: the contract's with My before it)");
  command->add_option("--into", options->into, "the folder to make (default: the repo's name)");
  command->callback([&line, options] { line.action = [&line, options] { return make(*options, line.json); }; });
}

}  // namespace graft
