"""The bugs that `./dev sim --mutants` plants, one at a time: a source, what stands there once, and what takes its place.
Each must be found by the simulator within SEEDS seeds. One whose text is not found is stale: mend it here."""

import dataclasses

SEEDS = 200


@dataclasses.dataclass(frozen=True)
class Planted:
    name: str
    source: str
    right: str
    wrong: str


PLANTED = [
    # Packets and rings.
    Planted("buffer-lost", "l4/tcp/machine.cc",
            "    input_time_wait(index, *segment, packet, key_hash, now);\n",
            "    input_time_wait(index, *segment, packet, key_hash, now);\n"
            "    (void)packet.release();\n"),
    Planted("handoff-doubled", "l7/pipeline.cc",
            "    deps_.handoff.send(config_.worker, owner, {&packet, 1}, deps_.counters);",
            "    Packet twice{packet.get()};\n"
            "    deps_.handoff.send(config_.worker, owner, {&twice, 1}, deps_.counters);\n"
            "    deps_.handoff.send(config_.worker, owner, {&packet, 1}, deps_.counters);"),
    Planted("checksum-not-verified", "dataplane/packet/parse.cc",
            "return checked(packet, ip, ip.size(), tcp.checksum, verify);",
            "return checked(packet, ip, ip.size(), tcp.checksum, false);"),
    # Segments cut in software.
    Planted("cut-frame-with-a-wrong-length", "dataplane/packet/cut.cc",
            "const std::uint32_t l4_size = header_size_ - l2_ - l3_ + size;",
            "const std::uint32_t l4_size = header_size_ - l2_ - l3_ + size_;"),
    Planted("cut-frame-with-a-wrong-sum", "dataplane/packet/cut.cc",
            "tcp.checksum = folded(Sum{tcp.checksum.raw()} + std::byteswap(l4_size));",
            "tcp.checksum = folded(Sum{tcp.checksum.raw()} + std::byteswap(l4_size) + "
            "(size < left_ || !offset_ ? 0 : 1));"),
    Planted("reply-to-another-worker", "l7/pipeline.cc",
            "if (p.config_.workers == 1) return true;",
            "return true;"),
    # Policies and permits.
    Planted("policy-freed-early", "dataplane/base/snapshot.cc",
            "if (retired_.empty() || rte_rcu_qsbr_check(state_, retired_.front().token, false) != 1) return false;",
            "if (retired_.empty()) return false;"),
    Planted("policy-never-freed", "dataplane/base/snapshot.cc",
            "if (retired_.empty() || rte_rcu_qsbr_check(state_, retired_.front().token, false) != 1) return false;",
            "return false;"),
    Planted("permit-leaked", "l7/exchange_response.cc",
            "if (x.holds_request_permit) release(",
            "if (x.holds_request_permit && x.log.status != 504) release("),
    # L4.
    Planted("flow-expires-early", "l4/forward.cc",
            "flow.timeout_ms.set(to_ms(timeout_of(service->timeouts, after)));",
            "flow.timeout_ms.set(service ? 5 : 6);"),
    Planted("nat-forgets-ports-in-checksum", "l4/nat.cc",
            "  change += replace_word(packet.data() + offset, ports);\n",
            "  replace_word(packet.data() + offset, ports);\n"),
    # TCP, receiving.
    Planted("what-overtakes-taken-for-next", "l4/tcp/deliver.cc",
            "if (begin != t.rcv_nxt) return keep_out_of_order(",
            "if (begin < t.rcv_nxt) return keep_out_of_order("),
    Planted("ack-of-unsent-data-accepted", "l4/tcp/input_slow.cc",
            "if (s.ack > t.snd_nxt) {  // of what we have not sent",
            "if (false) {"),
    Planted("fin-out-of-order-accepted", "l4/tcp/input_slow.cc",
            "if (t.fin_seen && t.transit->fin_seq == t.rcv_nxt) return",
            "if (t.fin_seen) return"),
    Planted("window-never-reopened", "l4/tcp/deliver.cc",
            "if (room < offered + step) return offered;",
            "if (room < offered + step || room > 0) return offered;"),
    # TCP, sending.
    Planted("no-persist-probe", "l4/tcp/output.cc",
            "if (held && t.transit->board.empty() && t.timer != Timer::persist) {",
            "if (false) {"),
    Planted("fin-forgotten", "l4/tcp/output.cc",
            "fin = t.fin_queued && size == unsent;",
            "fin = false;"),
    Planted("retransmission-of-wrong-bytes", "l4/tcp/transmit.cc",
            "if (!send(s, h, begin, size)) return Sent::starved;",
            "if (!send(s, h, t.queue.begin(), size)) return Sent::starved;"),
    Planted("retransmission-timeout-does-nothing", "l4/tcp/expire.cc",
            "  retransmission_timeout(t, core, now);\n  return Verdict::kept;",
            "  if (t.state == State::closed) retransmission_timeout(t, core, now);\n  return Verdict::kept;"),
    Planted("writable-never-told", "l4/tcp/acknowledge.cc",
            "    t.events |= event_writable;\n",
            ""),
    Planted("image-without-flight", "l4/tcp/image.cc",
            "  put_chain(out, t->queue.chain());",
            "  put_chain(out, Chain{});"),
    Planted("charge-too-low", "l4/tcp/deliver.cc",
            "  core.held += grown;\n",
            "  core.held += size < 100 ? 0 : grown;\n"),
    Planted("transmit-record-leaked", "l4/tcp/scoreboard.cc",
            "      records.give(index);\n      index = previous;",
            "      index = previous;"),
    Planted("reneged-never-sent-again", "l4/tcp/recovery.cc",
            "if (core.records[t.transit->board.head()].is(is_sacked)) {",
            "if (false) {"),
    Planted("beyond-a-shrunken-window", "l4/tcp/output.cc",
            "const std::uint32_t room = window > 0 ? static_cast<std::uint32_t>(window) : 0;",
            "const std::uint32_t room = window >= 0 ? static_cast<std::uint32_t>(window) : size;"),
    Planted("joined-over-a-gap", "dataplane/packet/parse.cc",
            "if (other.sequence.get() != one.sequence.get() + known.payload_size || ",
            "if ("),
    Planted("transit-leaked", "l4/tcp/transit.cc",
            "  core.transits.give(t.transit);\n",
            ""),
    Planted("transit-freed-early", "l4/tcp/transit.cc",
            "x.board.empty() && x.reassembly.empty() &&",
            "x.board.empty() &&"),
    Planted("cut-as-idle-while-active", "l4/tcp/pressure.cc",
            "if (stands_still(t, now)) {",
            "if (!stands_still(t, now)) {"),
    # TCP, opening.
    Planted("port-in-use-chosen", "l4/tcp/ports.cc",
            "if (kind_of(value) != Kind::time_wait) return false;",
            "if (kind_of(value) != Kind::time_wait) return true;"),
    Planted("time-wait-reused-at-once", "l4/tcp/ports.cc",
            "return time_waits[index].timestamps && core.config.timestamps &&\n"
            "           time_waits.age_ms(index, now, core.config.time_wait) >= reuse_after_ms;",
            "return time_waits[index].previous != index;"),
    Planted("cookie-with-another-mss", "l4/tcp/cookie.cc",
            "return mss_table[index];",
            "return mss_table[index + 1 < mss_table.size() ? index + 1 : index];"),
    Planted("cookie-forgets-the-scale", "l4/tcp/listen.cc",
            "h.scaled = options->scaled;",
            "h.scaled = false;"),
    Planted("cookie-good-for-ever", "l4/tcp/cookie.cc",
            "std::memcpy(in + 44, &period, 4);",
            "std::memset(in + 44, static_cast<int>(period & 0), 4);"),
    # ECN.
    Planted("cwr-never-set", "l4/tcp/output.cc",
            "if (t.cwr_due) h.flags |= flag_cwr;",
            ""),
    Planted("ece-echoed-for-ever", "l4/tcp/deliver.cc",
            "    t.echo_due = false;\n    t.acknowledge_now();",
            "    t.acknowledge_now();"),
    Planted("marks-not-echoed", "l4/tcp/deliver.cc",
            "    t.echo_due = true;\n",
            ""),
    # Pacing, paths.
    Planted("paced-never-let-go", "l4/tcp/expire.cc",
            "  if (t.paced && t.pace_at <= now) t.paced = false;\n",
            ""),
    Planted("black-hole-never-found", "l4/tcp/path_mtu.cc",
            "if (!core.config.black_hole_detection ||",
            "if (true ||"),
    Planted("any-mtu-believed", "l4/tcp/path_mtu.cc",
            "mtu = std::max(mtu, v4 ? PathMtus::ip4_least : mtu);",
            "mtu = std::max<std::uint16_t>(mtu, 100);"),
    Planted("icmp-errors-not-checked", "l4/tcp/icmp.cc",
            "if (t.state != State::closed && t.snd_una <= quoted && quoted < t.snd_nxt) {",
            "if (t.state != State::closed) {"),
    # TLS.
    Planted("tls-sequence-reused", "crypto/tls/record.cc",
            "    fresh.append_to(out);\n  }\n  ++direction.sequence;",
            "    fresh.append_to(out);\n  }"),
    Planted("tls-image-without-sequence", "crypto/tls/session_image.cc",
            "writer.u64(direction->sequence);",
            "writer.u64(0);"),
    # HTTP.
    Planted("chunk-length-wrong", "l7/http/h1_encoder.cc",
            "std::to_chars(line, line + 16, body.size(), 16)",
            "std::to_chars(line, line + 16, body.size() + (body.size() > 9000), 16)"),
    Planted("request-sent-twice", "l7/exchange_upstream.cc",
            "if (up.requests < 2 || x.retried || x.body_sent || x.answered || x.tunnel || !up.decoder.idle() || "
            "!up.in.empty())",
            "if (x.retried)"),
    Planted("slow-readers-cut-at-the-end", "l7/exchanges.cc",
            " && still_sending(c))",
            " && still_sending(c) && false)"),
    Planted("timeout-never-armed", "l7/exchanges.cc",
            "wait == Nanos::never() ? wait : now_ + wait",
            "wait == Nanos::never() ? wait : Nanos::never()"),
]
