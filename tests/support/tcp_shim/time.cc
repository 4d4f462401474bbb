// The clock, and calls that sleep until something happens.
#include "tests/support/tcp_shim/shim.h"

namespace sluice::shim {

Call::Call(Shim& shim) : shim_(shim), lock_(shim.mutex) {}

Call::~Call() {
  let_go();
  if (has_slept_ && shim_.options.grace > Nanos{}) shim_.returned.push_back(std::this_thread::get_id());
  if (awake_) looked();
  if (std::exchange(shim_.dirty, false)) wake();
}

// The thread of a call that was woken has come back with another: whoever waited for that goes on.
void Call::let_go() {
  if (std::erase(shim_.returned, std::this_thread::get_id()) && shim_.returned.empty()) shim_.all_looked.notify_all();
}

void Call::looked() {
  awake_ = false;
  if (--shim_.looking == 0) shim_.all_looked.notify_all();
}

void Call::wake() {
  let_go();
  shim_.looking += static_cast<unsigned>(shim_.sleepers.size());
  for (Shim::Sleeper* sleeper : shim_.sleepers) sleeper->woken = true;
  shim_.sleepers.clear();
  shim_.something_changed.notify_all();
  // One that has slept itself does not wait for others: whoever woke it waits for them all.
  if (has_slept_) return;
  shim_.all_looked.wait(lock_, [&] { return shim_.looking == 0; });
  shim_.all_looked.wait_for(lock_, std::chrono::nanoseconds(shim_.options.grace.ns),
                            [&] { return shim_.returned.empty(); });
  shim_.returned.clear();
}

int Call::sleep(Nanos deadline) {
  shim_.pump();
  if (deadline <= shim_.now) return ETIMEDOUT;
  if (shim_.options.advance) {
    if (shim_.step(*this, deadline)) return 0;
    if (deadline == Nanos::never()) return EDEADLK;
    shim_.advance(*this, deadline);
    return 0;
  }
  let_go();
  if (std::exchange(shim_.dirty, false)) wake();
  Shim::Sleeper self{deadline};
  shim_.sleepers.push_back(&self);
  if (awake_) looked();
  has_slept_ = true;
  shim_.something_changed.wait(lock_, [&] { return self.woken; });
  awake_ = true;
  return 0;
}

Nanos deadline_of(const Shim& shim, const Socket& s, const timeval& limit, int flags) {
  if (s.nonblocking || flags & MSG_DONTWAIT) return shim.now;
  const Nanos time = of_timeval(limit);
  return time > Nanos{} ? shim.now + time : Nanos::never();
}

Nanos Shim::next_timer() {
  stack->expire(now);
  pump();
  return std::max(stack->expire(now), now + Nanos{1});
}

bool Shim::step(Call& call, Nanos limit) {
  Nanos next = next_timer();
  for (const Sleeper* sleeper : sleepers) next = std::min(next, sleeper->deadline);
  if (next > limit || next == Nanos::never()) return false;
  now = std::max(now, next);
  stack->expire(now);
  changed();
  dirty = false;
  call.wake();
  return true;
}

void Shim::advance(Call& call, Nanos to) {
  while (step(call, to)) {}
  now = std::max(now, to);
  stack->expire(now);
  changed();
}

}  // namespace sluice::shim
