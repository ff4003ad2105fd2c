// Capture files in the classic pcap format (draft-ietf-opsawg-pcap): both byte orders, timestamps
// in microseconds or nanoseconds. Not pcapng.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace esplane::port {

/// Link types (LINKTYPE_ registry) that we read and write.
inline constexpr uint32_t kLinkTypeEthernet = 1;

struct CapturedPacket {
  uint64_t nanoseconds;            ///< since 1970
  uint32_t original_bytes;         ///< on the wire; `data` may have been cut by the capture
  std::span<const uint8_t> data;
};

/// A capture file in memory, checked from the first to the last byte when it is opened.
class PcapFile {
 public:
  /// No record may claim more than this: no Ethernet frame of ours is longer.
  static constexpr uint32_t kMaxRecordBytes = 262144;

  /// @throws std::system_error where the file cannot be read; std::runtime_error naming the
  ///         record and offset of what is malformed
  explicit PcapFile(const std::string& path);

  const std::vector<CapturedPacket>& packets() const { return packets_; }

 private:
  void parse(const std::string& path);

  std::vector<uint8_t> bytes_;
  std::vector<CapturedPacket> packets_;
};

/// Writes a capture file of Ethernet frames, nanosecond timestamps, in this machine's byte order.
class PcapWriter {
 public:
  /// @throws std::system_error
  explicit PcapWriter(const std::string& path);

  /// @return false where the file took no more (a full disk); the file then ends in a whole record
  ///         as far as the system allows
  bool write(std::span<const uint8_t> frame);
  void flush();

 private:
  struct Close {
    void operator()(FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<FILE, Close> file_;
};

}  // namespace esplane::port
