// The native tests' main, by doctest (Debian: doctest-dev).
//
// Tests of the suite "lab" load BPF programs and make network namespaces: they need root, and only
// `esplane_tests --lab` runs them (and nothing else). All other tests run anywhere.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstring>
#include <vector>

int main(int argc, char** argv) {
  std::vector<char*> arguments;
  bool lab = false;
  for (int i = 0; i < argc; i++) {
    if (std::strcmp(argv[i], "--lab") == 0) {
      lab = true;
    } else {
      arguments.push_back(argv[i]);
    }
  }
  doctest::Context context(static_cast<int>(arguments.size()), arguments.data());
  context.addFilter(lab ? "test-suite" : "test-suite-exclude", "lab");
  return context.run();
}
