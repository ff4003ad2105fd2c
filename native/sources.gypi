{
  "variables": {
    "esplane_core_sources": [
      "native/base/cpu.cc"
    ],
    "esplane_aesni_sources": [
    ],
    "esplane_addon_sources": [
      "native/addon/addon.cc"
    ],
    "esplane_test_sources": [
      "native/test/main.cc"
    ],
    "esplane_warnings": ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Wno-missing-field-initializers"],
    "esplane_core_flags": ["-std=gnu++20", "-O3", "-fno-rtti", "-fvisibility=hidden", "-fno-strict-aliasing"],
    "esplane_aesni_flags": ["-maes", "-mpclmul", "-mssse3", "-msse4.1"]
  }
}
