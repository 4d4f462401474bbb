// haproxy.h - Debian's HAProxy as the peer of the http scenario: one thread on a CPU of its own, in front of nginx, on
// loopback, driven by wrk; configurations in this folder. wrk checks the status and every byte of the body of each
// answer (answers.lua); one wrong one is an error. The measure is answers per second of the process's user and system
// time. On this kernel soft-interrupt work inside its system calls is charged to it; loopback spares it checksums, and
// a NIC driver.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "perf/peers/process.h"

namespace sluice::perf {

class Haproxy {
 public:
  static std::expected<std::unique_ptr<Haproxy>, std::string> start();

  struct Rate {
    double requests = 0;  // a second of its CPU time
    double load = 0;      // the share of a CPU that it used
  };
  // 100 connections for so long; with `close`, a connection for each request.
  std::expected<Rate, std::string> drive(bool close, unsigned seconds);

 private:
  Haproxy() = default;

  Scratch scratch_;
  std::string wrk_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> nginx_, haproxy_;
};

}  // namespace sluice::perf
