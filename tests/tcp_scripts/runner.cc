#include "tests/tcp_scripts/runner.h"

#include <algorithm>
#include <cstdio>

#include "tests/tcp_scripts/sockets.h"

namespace sluice::scripts {

namespace {

std::string seconds(Nanos at) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", static_cast<double>(at.ns) / 1e9);
  return text;
}

class Run {
 public:
  Run(const Script& script, Target& target, Backend backend, bool v6)
      : script_(script), target_(target), backend_(backend), v6_(v6), sockets_(target, v6), zero_(target.now()) {}

  Outcome all() {
    for (const Event& event : script_.events) {
      if (event.linux_only && backend_ != Backend::linux_kernel) continue;
      if (event.sluice_only && backend_ != Backend::sluice) continue;
      event_ = &event;
      due_ = due(event.when.from);
      if (!step(event)) return std::move(outcome_);
    }
    event_ = nullptr;
    last_ = now();
    silent(last_ + target_.early / 2);
    return std::move(outcome_);
  }

 private:
  Nanos now() { return target_.now() - zero_; }
  Flow& flow(unsigned peer) {
    auto [at, fresh] = flows_.try_emplace(peer);
    if (fresh) {
      at->second.v6 = v6_;
      at->second.local_port = local_port;
      at->second.peer_port = static_cast<std::uint16_t>(first_peer_port + peer - 1);
      at->second.peer_base = v6_ ? 0u - 700 : 1'000'000'000;  // one of the two families wraps around soon
    }
    return at->second;
  }
  bool fail(std::string why, std::string got, Nanos at) {
    row(std::move(got), at);
    outcome_.passed = false;
    outcome_.why = (event_ ? "line " + std::to_string(event_->line) + ": " : "at the end: ") + why;
    return false;
  }
  void row(std::string got, Nanos at) {
    std::string wanted = event_ ? event_->text : "(nothing)";
    std::string when = event_ ? seconds(due_) : "";
    if (event_ && event_->when.any) when = "*";
    outcome_.rows.push_back({std::move(when), std::move(wanted), got.empty() ? "" : seconds(at), std::move(got)});
  }
  Nanos due(Nanos time) const { return event_ && event_->when.relative ? last_ + time : time; }

  struct Seen {
    Segment segment;
    std::string wrong;
    Nanos at;
  };
  std::optional<Seen> hear(Nanos until) {
    auto left = target_.wait(zero_ + until);
    if (!left) return {};
    const auto ports = ports_of(left->packet);
    const unsigned peer = ports->second - first_peer_port + 1u;
    Flow& f = flow(peer);
    f.local_port = ports->first;
    Sent sent = decode(left->packet, f);
    sent.segment.peer = peer;
    return Seen{std::move(sent.segment), std::move(sent.wrong), left->at - zero_};
  }
  // Nothing leaves until then.
  bool silent(Nanos until) {
    const auto seen = hear(until);
    if (!seen) return true;
    answer(to_text(seen->segment, true));
    return fail("this was not expected", "> " + to_text(seen->segment), seen->at);
  }
  void answer(std::string text) {
    if (!event_ || !event_->imported) outcome_.answers.push_back(std::move(text));
  }

  bool step(const Event& event) {
    if (const auto* expect = std::get_if<Expect>(&event.action)) return hears(*expect, event);
    if (!silent(std::max(due_, now()))) return false;
    last_ = now();
    if (const auto* in = std::get_if<Inject>(&event.action)) {
      target_.inject(encode(in->segment, flow(in->segment.peer)));
      row("", last_);
    } else if (const auto* icmp = std::get_if<InjectIcmp>(&event.action)) {
      target_.inject(encode(icmp->icmp, flow(1)));
      row("", last_);
    } else if (const auto* call = std::get_if<Call>(&event.action)) {
      std::string got, brief;
      const std::string wrong = sockets_.call(*call, got, brief);
      if (!brief.empty()) answer(brief);
      if (!wrong.empty()) return fail(wrong, got, last_);
      row(got, last_);
    } else if (const auto* assert = std::get_if<Assert>(&event.action)) {
      std::string got;
      const std::string wrong = sockets_.check(*assert, got);
      if (event.linux_only || event.sluice_only) answer(got);
      if (!wrong.empty()) return fail(wrong, got, last_);
      row(got, last_);
    } else {
      if (!when_told(event).empty()) answer(when_told(event) + "nothing");
      row("", last_);
    }
    return true;
  }
  // A line of one target alone may differ from the other's by its time only.
  static std::string when_told(const Event& event) {
    if (!event.linux_only && !event.sluice_only) return "";
    return event.text.substr(0, event.text.find(' ')) + " ";
  }

  bool hears(const Expect& expect, const Event& event) {
    const Nanos longest = backend_ == Backend::sluice ? Nanos{3'600'000'000'000} : Nanos{10'000'000'000};
    const Nanos earliest = event.when.any ? Nanos{} : due(event.when.from) - target_.early;
    const Nanos latest = event.when.any ? now() + longest : due(event.when.to) + target_.late;
    const auto seen = hear(latest);
    if (!seen) return fail("nothing came", "(nothing)", latest);
    Segment told = seen->segment;
    if (expect.segment.any_push) told.flags &= static_cast<std::uint8_t>(~PSH);
    if (!expect.segment.window) told.window.reset();
    answer(when_told(event) + to_text(told, true));
    const std::string text = "> " + to_text(seen->segment);
    if (!seen->wrong.empty()) return fail("broken: " + seen->wrong, text, seen->at);
    const auto ms = static_cast<std::uint32_t>(target_.late.ns / 1'000'000);
    if (const std::string what = difference(expect.segment, seen->segment, ms); !what.empty())
      return fail(what, text, seen->at);
    if (seen->at < earliest) return fail("too early", text, seen->at);
    row(text, seen->at);
    last_ = seen->at;
    return true;
  }

  const Script& script_;
  Target& target_;
  const Backend backend_;
  const bool v6_;
  Sockets sockets_;
  const Nanos zero_;
  Nanos last_{};  // when the event before was
  Nanos due_{};   // when this one should be
  const Event* event_ = nullptr;
  std::map<unsigned, Flow> flows_;
  Outcome outcome_;
};

}  // namespace

Outcome run(const Script& script, Target& target, Backend backend, bool v6) {
  return Run(script, target, backend, v6).all();
}

std::string transcript(const Outcome& outcome) {
  std::size_t width = 8;
  for (const Row& r : outcome.rows) width = std::max(width, r.wanted.size() + r.wanted_at.size() + 1);
  width = std::min<std::size_t>(width, 100);
  std::string out = "    " + std::string("expected") + std::string(width - 8, ' ') + " | got\n";
  for (std::size_t i = 0; i < outcome.rows.size(); ++i) {
    const Row& r = outcome.rows[i];
    const bool wrong = !outcome.passed && i + 1 == outcome.rows.size();
    std::string left = r.wanted_at + " " + r.wanted;
    left.resize(std::max(left.size(), width), ' ');
    out +=
        std::string(wrong ? " !! " : "    ") + left + " | " + r.got_at + (r.got_at.empty() ? "" : " ") + r.got + "\n";
  }
  return out;
}

}  // namespace sluice::scripts
