// audit_times.h - when the simulator looks at everything: after each turn in which something came, and now and then
// while nothing does.
#pragma once

#include <string>

namespace sluice::sim {

class AuditTimes {
 public:
  void turned(bool busy) { due_ = busy || ++quiet_ % 16 == 0; }
  bool due() const { return due_; }
  static std::string said(const char* fault) { return fault ? fault : ""; }

 private:
  bool due_ = true;
  unsigned quiet_ = 0;
};

}  // namespace sluice::sim
