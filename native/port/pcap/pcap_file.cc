#include "port/pcap/pcap_file.h"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <stdexcept>
#include <system_error>

namespace esplane::port {
namespace {

// The first four bytes tell byte order and unit of the timestamps.
constexpr uint32_t kMagicMicroseconds = 0xa1b2c3d4, kMagicNanoseconds = 0xa1b23c4d;
constexpr uint32_t kMagicPcapng = 0x0a0d0d0a;
constexpr size_t kFileHeaderBytes = 24, kRecordHeaderBytes = 16;

struct FileHeader {
  uint32_t magic;
  uint16_t version_major, version_minor;
  uint32_t reserved[2];
  uint32_t snap_length;
  uint32_t link_type;  ///< upper bits: FCS length
};
static_assert(sizeof(FileHeader) == kFileHeaderBytes);

struct RecordHeader {
  uint32_t seconds, fraction, captured_bytes, original_bytes;
};
static_assert(sizeof(RecordHeader) == kRecordHeaderBytes);

std::vector<uint8_t> read_file(const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) throw std::system_error(errno, std::generic_category(), "cannot open " + path);
  std::vector<uint8_t> bytes;
  uint8_t buffer[65536];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, file.get())) {
    bytes.insert(bytes.end(), buffer, buffer + n);
  }
  if (std::ferror(file.get())) {
    throw std::system_error(errno, std::generic_category(), "cannot read " + path);
  }
  return bytes;
}

}  // namespace

PcapFile::PcapFile(const std::string& path) : bytes_(read_file(path)) { parse(path); }

void PcapFile::parse(const std::string& path) {
  const auto fail = [&](const std::string& why) { throw std::runtime_error(path + ": " + why); };
  if (bytes_.size() < kFileHeaderBytes) {
    fail(std::to_string(bytes_.size()) + " bytes are too few for a capture file");
  }
  FileHeader header;
  std::memcpy(&header, bytes_.data(), sizeof header);
  const bool swapped = header.magic == __builtin_bswap32(kMagicMicroseconds) ||
                       header.magic == __builtin_bswap32(kMagicNanoseconds);
  const auto number = [&](uint32_t v) { return swapped ? __builtin_bswap32(v) : v; };
  const uint32_t magic = number(header.magic);
  if (magic == kMagicPcapng) fail("is a pcapng file; \"editcap -F pcap\" converts it");
  if (magic != kMagicMicroseconds && magic != kMagicNanoseconds) fail("is no capture file");
  // The upper bits may tell the length of a frame check sequence.
  const uint32_t link_type = number(header.link_type) & 0xffff;
  if (link_type != kLinkTypeEthernet) {
    fail("has link type " + std::to_string(link_type) + ", not Ethernet (1)");
  }

  const uint64_t unit = magic == kMagicNanoseconds ? 1 : 1000;
  for (size_t at = kFileHeaderBytes; at < bytes_.size();) {
    const std::string where =
        "record " + std::to_string(packets_.size() + 1) + " at byte " + std::to_string(at);
    const size_t left = bytes_.size() - at;
    if (left < kRecordHeaderBytes) {
      fail(where + " is cut off: " + std::to_string(left) + " bytes of its header are there");
    }
    RecordHeader record;
    std::memcpy(&record, &bytes_[at], sizeof record);
    const uint32_t captured = number(record.captured_bytes);
    if (captured > kMaxRecordBytes) fail(where + " claims " + std::to_string(captured) + " bytes");
    if (captured > left - kRecordHeaderBytes) {
      fail(where + " is cut off: " + std::to_string(left - kRecordHeaderBytes) + " of " +
           std::to_string(captured) + " bytes are there");
    }
    packets_.push_back(
        {number(record.seconds) * uint64_t{1000000000} + number(record.fraction) * unit,
         number(record.original_bytes),
         {&bytes_[at] + kRecordHeaderBytes, captured}});
    at += kRecordHeaderBytes + captured;
  }
}

PcapWriter::PcapWriter(const std::string& path) : file_(std::fopen(path.c_str(), "wbe")) {
  if (!file_) throw std::system_error(errno, std::generic_category(), "cannot create " + path);
  const FileHeader header{kMagicNanoseconds, 2, 4, {0, 0}, PcapFile::kMaxRecordBytes,
                          kLinkTypeEthernet};
  if (std::fwrite(&header, sizeof header, 1, file_.get()) != 1) {
    throw std::system_error(errno, std::generic_category(), "cannot write " + path);
  }
}

bool PcapWriter::write(std::span<const uint8_t> frame) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const auto bytes = static_cast<uint32_t>(frame.size());
  const RecordHeader record{static_cast<uint32_t>(now.tv_sec), static_cast<uint32_t>(now.tv_nsec),
                            bytes, bytes};
  return std::fwrite(&record, sizeof record, 1, file_.get()) == 1 &&
         std::fwrite(frame.data(), 1, frame.size(), file_.get()) == frame.size();
}

void PcapWriter::flush() { std::fflush(file_.get()); }

}  // namespace esplane::port
