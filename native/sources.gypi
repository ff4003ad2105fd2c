{
  "variables": {
    "esplane_core_sources": [
      "native/base/cpu.cc",
      "native/base/epoch.cc",
      "native/crypto/dispatch.cc",
      "native/crypto/known_answer.cc",
      "native/crypto/openssl.cc",
      "native/crypto/reference.cc",
      "native/esp/inbound.cc",
      "native/esp/locate.cc",
      "native/esp/outbound.cc",
      "native/net/address.cc",
      "native/net/kernel_next_hops.cc",
      "native/net/netlink.cc",
      "native/net/next_hop_cache.cc",
      "native/net/static_next_hops.cc",
      "native/packet/checksum.cc",
      "native/packet/ip.cc",
      "native/packet/selector.cc",
      "native/port/memory/memory_port.cc",
      "native/port/pcap/pcap_file.cc",
      "native/port/pcap/pcap_port.cc",
      "native/port/prefix.cc",
      "native/port/system.cc",
      "native/port/tun/tun.cc",
      "native/port/umem.cc",
      "native/port/xdp/assembler.cc",
      "native/port/xdp/bpf.cc",
      "native/port/xdp/classifier.cc",
      "native/port/xdp/selection.cc",
      "native/port/xdp/socket.cc",
      "native/port/xdp/xdp_port.cc",
      "native/port/xdp/xdp_queue.cc",
      "native/replay/window.cc",
      "native/sad/sa.cc",
      "native/sad/sad.cc",
      "native/spd/spd.cc"
    ],
    "esplane_aesni_sources": [
      "native/crypto/aesni.cc"
    ],
    "esplane_vaes512_sources": [
      "native/crypto/vaes512.cc"
    ],
    "esplane_addon_sources": [
      "native/addon/addon.cc",
      "native/addon/crypto_binding.cc",
      "native/addon/gcm_bench.cc",
      "native/addon/process_binding.cc"
    ],
    "esplane_test_sources": [
      "native/test/main.cc",
      "native/test/base/epoch_test.cc",
      "native/test/crypto/kernels_test.cc",
      "native/test/crypto/known_answer_test.cc",
      "native/test/esp/inbound_test.cc",
      "native/test/esp/locate_test.cc",
      "native/test/esp/outbound_test.cc",
      "native/test/esp/vectors_test.cc",
      "native/test/net/next_hop_test.cc",
      "native/test/packet/checksum_test.cc",
      "native/test/packet/ip_test.cc",
      "native/test/packet/selector_test.cc",
      "native/test/port/assembler_test.cc",
      "native/test/port/classifier_test.cc",
      "native/test/port/xdp_port_test.cc",
      "native/test/replay/window_test.cc",
      "native/test/sad/sad_test.cc",
      "native/test/spd/spd_test.cc"
    ],
    "esplane_warnings": ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wno-sign-conversion", "-Wno-missing-field-initializers"],
    "esplane_core_flags": ["-std=gnu++20", "-O3", "-fno-rtti", "-fvisibility=hidden", "-fno-strict-aliasing"],
    "esplane_aesni_flags": ["-maes", "-mpclmul", "-mssse3", "-msse4.1"],
    "esplane_vaes512_flags": ["-maes", "-mpclmul", "-mvaes", "-mvpclmulqdq", "-mavx512f", "-mavx512vl", "-mavx512bw", "-mavx512dq", "-mbmi2"]
  }
}
