// server_listen.cc - the management socket itself: one server a path, for root and one group.
#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "mgmt/file.h"
#include "mgmt/server.h"

namespace sluice::mgmt {

std::expected<void, std::string> Server::listen() {
  const std::string path = options_.path.string(), lock = path + ".lock";
  const auto failed = [&](const char* what) { return std::unexpected{system_error(what, options_.path)}; };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return std::unexpected{
        fmt::format("{} is longer than the {} bytes that a socket's path may have", path, sizeof address.sun_path - 1)};
  std::memcpy(address.sun_path, path.data(), path.size());

  std::error_code ignored;
  std::filesystem::create_directories(options_.path.parent_path(), ignored);
  lock_ = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock_ < 0) return failed("cannot make the lock of");
  if (flock(lock_, LOCK_EX | LOCK_NB) != 0) return std::unexpected{fmt::format("another sluiced serves {}", path)};
  ::unlink(path.c_str());  // of one that was killed: the lock is ours

  listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0) return failed("cannot make");
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return failed("cannot bind");
  bound_ = true;
  if (const group* found = getgrnam(options_.group.c_str())) group_ = found->gr_gid;
  if (group_ != 0 && chown(path.c_str(), 0, group_) != 0) return failed("cannot give to its group");
  if (chmod(path.c_str(), 0660) != 0) return failed("cannot set the mode of");
  if (::listen(listener_, 64) != 0) return failed("cannot listen on");

  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) return failed("cannot watch");
  jobs_ = std::make_unique<Jobs>(options_.jobs_max, options_.jobs_bytes_max, [this] { publisher_.housekeep(); });
  epoll_event event{.events = EPOLLIN, .data = {.u64 = listener_mark}};
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event) != 0) return failed("cannot watch");
  event.data.u64 = jobs_mark;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, jobs_->fd(), &event) != 0) return failed("cannot watch");
  return {};
}

}  // namespace sluice::mgmt

// Tested in tests/unit/mgmt/server_test.cc.
