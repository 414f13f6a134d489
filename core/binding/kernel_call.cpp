#include "kernel_call.h"

#include <string>
#include <vector>

#include "graft/host_platform.h"
#include "tensor_view.h"

namespace graft {
namespace {

thread_local bool capturing = false;

std::vector<int> capabilities() {
  std::vector<int> found;
  const auto cuda = HostPlatform::detect().with_device("cuda").cuda;
  if (!cuda) return found;
  for (const std::string& text : cuda->capabilities) found.push_back(std::stoi(text) * 10 + std::stoi(text.substr(text.find('.') + 1)));
  return found;
}

}  // namespace

KernelCall::KernelCall(c10::Device device, size_t workspace) : cpu_() {
  if (device.is_cpu()) {
    scratch_.emplace(workspace);
    cpu_ = make_cpu_call(ThreadPool::shared(), scratch_->data(), workspace);
    return;
  }
  graft_call& call = cpu_.call;
  call.struct_size = sizeof(graft_call);
  call.flags = capturing ? GRAFT_CALL_CAPTURING : 0;
  call.device = to_graft(device);
  call.stream = current_stream(device).native_handle();
  call.thread_count = 1;
  if (workspace == 0) return;
  memory_ = c10::GetAllocator(device.type())->allocate(workspace);
  call.workspace = memory_.get();
  call.workspace_size = workspace;
}

Capturing::Capturing() { capturing = true; }
Capturing::~Capturing() { capturing = false; }
bool Capturing::now() { return capturing; }

int capability_of(c10::Device device) {
  if (!device.is_cuda()) return 0;
  static const std::vector<int> known = capabilities();
  const size_t index = device.has_index() ? size_t(device.index()) : 0;
  return index < known.size() ? known[index] : 0;
}

}  // namespace graft
