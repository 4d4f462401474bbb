// security.h - what the process may still do once it runs. The operator gives it root to open ports; after start all of
// its threads keep the capabilities that the ports need to be given back, and a list of system calls. A call beyond the
// list fails with EPERM and the kernel's audit log names it: one rare call of a library must not end a gateway. Those
// that only an intruder makes (execve, ptrace, mount, ...) end the process. Call it when all threads run: what is made
// later inherits it. Nothing is given back.
#pragma once

#include <expected>
#include <span>
#include <string>

namespace sluice::mgmt {

// At the very start, before any file is made: nothing for others.
void restrict_files();

// Takes from every thread of the process what is not in `keep` (CAP_...), for good. The error is one line.
std::expected<void, std::string> drop_capabilities(std::span<const int> keep);

// No new privileges, and the list of system calls, for every thread of the process. `kernel_ports`: also what taking an
// XDP program off its link needs.
std::expected<void, std::string> restrict_system_calls(bool kernel_ports);

// Both, as sluiced wants them. For ports of the kernel (af_xdp, af_packet, tap) CAP_NET_ADMIN and CAP_NET_RAW stay:
// closing them undoes settings of links. Without such ports none stays.
std::expected<void, std::string> confine(bool kernel_ports);

}  // namespace sluice::mgmt
