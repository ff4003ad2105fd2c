{
  # The addon. What is compiled, and with which flags for which ISA tier, stands in
  # native/sources.gypi, which native/CMakeLists.txt reads as well.
  "includes": ["native/sources.gypi"],
  "variables": {
    # Intel's ipsec-mb, where its header is installed: 1, else 0. scripts/packages.mjs installs it.
    "esplane_ipsec_mb%": "<!(node -p \"+require('fs').existsSync('/usr/include/intel-ipsec-mb.h')\")"
  },
  "target_defaults": {
    "cflags_cc!": ["-fno-exceptions", "-std=gnu++17", "-std=gnu++1y", "-O2"],
    "cflags_cc": ["<@(esplane_core_flags)", "<@(esplane_warnings)"],
    "cflags!": ["-O2"],
    "include_dirs": ["native"],
    "defines": ["NAPI_VERSION=8", "NAPI_CPP_EXCEPTIONS"]
  },
  "targets": [
    {
      "target_name": "esplane_aesni",
      "type": "static_library",
      "sources": ["<@(esplane_aesni_sources)"],
      "cflags_cc": ["<@(esplane_aesni_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_aesni_sources)"] }]]
    },
    {
      "target_name": "esplane_aesni_avx",
      "type": "static_library",
      "sources": ["<@(esplane_aesni_avx_sources)"],
      "cflags_cc": ["<@(esplane_aesni_avx_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_aesni_avx_sources)"] }]]
    },
    {
      "target_name": "esplane_avx2",
      "type": "static_library",
      "sources": ["<@(esplane_avx2_sources)"],
      "cflags_cc": ["<@(esplane_avx2_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_avx2_sources)"] }]]
    },
    {
      "target_name": "esplane_shani",
      "type": "static_library",
      "sources": ["<@(esplane_shani_sources)"],
      "cflags_cc": ["<@(esplane_shani_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_shani_sources)"] }]]
    },
    {
      "target_name": "esplane_vaes256",
      "type": "static_library",
      "sources": ["<@(esplane_vaes256_sources)"],
      "cflags_cc": ["<@(esplane_vaes256_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_vaes256_sources)"] }]]
    },
    {
      "target_name": "esplane_vaes512",
      "type": "static_library",
      "sources": ["<@(esplane_vaes512_sources)"],
      "cflags_cc": ["<@(esplane_vaes512_flags)"],
      "conditions": [["target_arch!='x64'", { "sources!": ["<@(esplane_vaes512_sources)"] }]]
    },
    {
      "target_name": "esplane",
      "dependencies": [
        "esplane_aesni", "esplane_aesni_avx", "esplane_avx2", "esplane_shani", "esplane_vaes256", "esplane_vaes512"
      ],
      "sources": ["<@(esplane_core_sources)", "<@(esplane_addon_sources)"],
      "cflags_cc": ["-isystem", "<!(node -p \"require('path').resolve(require('node-addon-api').include_dir)\")"],
      "libraries": ["-pthread"],
      "conditions": [["esplane_ipsec_mb==1 and target_arch=='x64'", {
        "defines": ["ESPLANE_IPSEC_MB"],
        "libraries": ["-lIPSec_MB"]
      }]]
    }
  ]
}
