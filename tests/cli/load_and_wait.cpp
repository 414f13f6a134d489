// Loads the kernel named by its argument, says "loaded", and lives until its standard input ends.
#include <cstdio>
#include <exception>

#include "graft/runtime.h"

int main(int, char** argv) try {
  graft::Runtime::shared().load_package(graft::KernelRef::parse(argv[1]), {.allow_all_kernels = true});
  std::puts("loaded");
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
} catch (const std::exception& e) {
  std::puts(e.what());
  return 1;
}
