#include "mgmt/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace sluice::mgmt {

File::~File() {
  if (fd_ >= 0) close(fd_);
}

std::string system_error(const char* what, const std::filesystem::path& path) {
  const int error = errno;
  return fmt::format("{} {}: {}", what, path.string(), std::strerror(error));
}

std::expected<std::vector<std::uint8_t>, std::string> read_file(const std::filesystem::path& path, std::size_t most) {
  const File file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat info;
  if (!file || fstat(file.fd(), &info) != 0) return std::unexpected{system_error("cannot open", path)};
  if (!S_ISREG(info.st_mode)) return std::unexpected{fmt::format("{} is not a file", path.string())};
  if (static_cast<std::size_t>(info.st_size) > most)
    return std::unexpected{
        fmt::format("{} has {} bytes, more than the limit of {}", path.string(), info.st_size, most)};
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(info.st_size));
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = read(file.fd(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected{system_error("cannot read", path)};
    if (n == 0) bytes.resize(done);
    done += static_cast<std::size_t>(n);
  }
  return bytes;
}

std::expected<void, std::string> write_all(const File& file, ByteView bytes, const std::filesystem::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(file.fd(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::unexpected{system_error("cannot write", path)};
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

std::expected<void, std::string> flush_folder(const std::filesystem::path& folder) {
  const File file{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!file || fsync(file.fd()) != 0) return std::unexpected{system_error("cannot flush", folder)};
  return {};
}

std::expected<void, std::string> replace_file(const std::filesystem::path& path, ByteView bytes) {
  const std::filesystem::path beside = path.string() + ".new";
  ::unlink(beside.c_str());
  const auto give_up = [&](std::string error) {
    ::unlink(beside.c_str());
    return std::unexpected{std::move(error)};
  };
  {
    const File file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (!file) return std::unexpected{system_error("cannot create", beside)};
    if (auto written = write_all(file, bytes, beside); !written) return give_up(written.error());
    if (fsync(file.fd()) != 0) return give_up(system_error("cannot flush", beside));
  }
  if (::rename(beside.c_str(), path.c_str()) != 0) return give_up(system_error("cannot replace", path));
  return flush_folder(path.parent_path());
}

}  // namespace sluice::mgmt
