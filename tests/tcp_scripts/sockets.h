// sockets.h - the calls of a script: its numbers of files against the target's, what each has read and written.
#pragma once

#include <map>

#include "tests/tcp_scripts/backend.h"

namespace sluice::scripts {

class Sockets {
 public:
  Sockets(Target& target, bool v6) : target_(target), v6_(v6) {}

  // Empty, or what was not as the script has it; `got` is the result as a script writes it, `brief` the same for the
  // table of answers (empty: not worth telling).
  std::string call(const Call& call, std::string& got, std::string& brief);
  std::string check(const Assert& assert, std::string& got);

 private:
  struct File {
    int fd = -1;
    std::uint32_t read_at = 1, write_at = 1;  // relative sequence numbers
  };
  struct Result {
    std::int64_t value = 0;
    int error = 0;
    std::string wrong;
    bool opens = false;  // the value is a new file
    std::string told{};  // the option that was asked for
  };
  Result execute(const Call& call);
  Result receive(File& file, std::size_t size, int flags);
  Result transmit(File& file, std::size_t size, int flags);
  Result set_option(File& file, const Call& call);
  Result get_option(File& file, const Call& call);
  int address(sockaddr_storage& out, bool local, std::uint16_t port) const;

  Target& target_;
  const bool v6_;
  std::map<std::int64_t, File> files_;
  std::int64_t last_ = -1;  // accepted or connected
};

}  // namespace sluice::scripts
