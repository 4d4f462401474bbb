// file.h - whole small files, read and replaced so that a crash leaves the old or the new one.
#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/bytes.h"

namespace sluice::mgmt {

// Owns a descriptor.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(File&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  File& operator=(File&&) = delete;
  ~File();
  int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

// "what PATH: reason", from errno.
std::string system_error(const char* what, const std::filesystem::path& path);

// An error when it is missing, unreadable or longer than `most`.
std::expected<std::vector<std::uint8_t>, std::string> read_file(const std::filesystem::path& path, std::size_t most);

// Writes all of it or says why not.
std::expected<void, std::string> write_all(const File& file, ByteView bytes, const std::filesystem::path& path);

// The file has these bytes, mode 0600, or is as it was. On success it survives a power cut.
std::expected<void, std::string> replace_file(const std::filesystem::path& path, ByteView bytes);

// Makes names in a folder survive a power cut.
std::expected<void, std::string> flush_folder(const std::filesystem::path& folder);

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/store_test.cc.
