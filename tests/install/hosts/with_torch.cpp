// A host on LibTorch: the default mapping, and an error of each library that it links.
#include <cstdio>

#include <graft/graft.h>
#include <graft/tokenizer.h>

int main() {
  int refused = 0;
  try {
    graft::AutoModelForCausalLM::from_pretrained("/no/such/model");
  } catch (const graft::Error&) {
    ++refused;
  }
  try {
    graft::Tokenizer::from_file("/no/such/tokenizer.json");
  } catch (const graft::Error&) {
    ++refused;
  }
  std::printf("%zu layers mapped, %d refused\n", graft::KernelConfig::defaults().layers().size(), refused);
  return refused == 2 ? 0 : 1;
}
