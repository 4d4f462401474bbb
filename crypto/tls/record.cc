#include "crypto/tls/record.h"

#include <algorithm>

namespace sluice::tls {

namespace {

// A record never needs more fresh buffers than this.
constexpr std::size_t max_fresh = (max_record_size + 1 + aead_tag_size) / buffer_data_size + 2;

std::uint8_t* data_of(rte_mbuf* segment) { return rte_pktmbuf_mtod(segment, std::uint8_t*); }

void resize(Packet& packet, std::uint32_t size) {
  packet.get()->data_len = static_cast<std::uint16_t>(size);
  packet.get()->pkt_len = size;
}

// Fresh buffers, taken ahead, written from front to back.
class Fresh {
 public:
  bool reserve(std::size_t bytes, Buffers& buffers) {
    for (; bytes > 0; bytes -= std::min<std::size_t>(bytes, buffer_data_size)) {
      CHECK(count_ < max_fresh);
      packets_[count_] = buffers.make();
      if (!packets_[count_]) return false;
      ++count_;
    }
    return true;
  }
  // Where the next bytes go; never empty while something is reserved.
  MutableBytes room() {
    Packet& packet = packets_[current_];
    const std::uint32_t used = packet.get()->data_len;
    if (used == buffer_data_size) {
      ++current_;
      return room();
    }
    return {packet.data() + used, buffer_data_size - used};
  }
  void commit(std::size_t n) {
    Packet& packet = packets_[current_];
    resize(packet, packet.get()->data_len + static_cast<std::uint32_t>(n));
  }
  void put(ByteView in) {
    while (!in.empty()) {
      const MutableBytes here = room();
      const std::size_t n = std::min(here.size(), in.size());
      std::memcpy(here.data(), in.data(), n);
      commit(n);
      in = in.subspan(n);
    }
  }
  template <typename Transform>  // transform(to, from, n)
  void put(const std::uint8_t* from, std::size_t size, Transform&& transform) {
    while (size > 0) {
      const MutableBytes here = room();
      const std::size_t n = std::min(here.size(), size);
      transform(here.data(), from, n);
      commit(n);
      from += n;
      size -= n;
    }
  }
  void append_to(Chain& out) {
    for (std::size_t i = 0; i < count_; ++i) out.append(std::move(packets_[i]));
    count_ = current_ = 0;
  }

 private:
  std::array<Packet, max_fresh> packets_;
  std::size_t count_ = 0;
  std::size_t current_ = 0;
};

// How the first n bytes of a chain lie: bytes in whole segments, and whether any of those is shared.
struct Layout {
  std::uint32_t whole = 0;
  bool shared = false;
  rte_mbuf* last_whole = nullptr;
};
Layout layout_of(const Chain& chain, std::uint32_t n) {
  Layout layout;
  for (rte_mbuf* segment = chain.first(); segment && layout.whole + segment->data_len <= n; segment = segment->next) {
    layout.whole += segment->data_len;
    layout.shared |= !sole_owner(segment);
    layout.last_whole = segment;
  }
  return layout;
}

// Removes padding and yields the content type (RFC 8446 5.4): the last byte that is not zero.
ContentType take_type(Chain& content) {
  std::uint32_t end = 0, offset = 0;
  std::uint8_t type = 0;
  rte_mbuf* last = content.last();
  // Nearly always the last byte of the last segment.
  rte_mbuf* segment = last && data_of(last)[last->data_len - 1] ? last : content.first();
  if (segment == last && last) offset = content.size() - last->data_len;
  for (; segment; offset += segment->data_len, segment = segment->next) {
    const std::uint8_t* bytes = data_of(segment);
    for (std::uint32_t i = segment->data_len; i > 0; --i) {
      if (bytes[i - 1] == 0) continue;
      type = bytes[i - 1];
      end = offset + i;
      break;
    }
  }
  if (end == 0) return ContentType::invalid;
  content.trim_back(content.size() - end + 1);
  return static_cast<ContentType>(type);
}

constexpr std::uint32_t trailer_size = 1 + aead_tag_size;

// One record, one segment with room behind it: the common response.
Packet seal_segment(const Cipher& cipher, ByteView nonce, ByteView header, std::uint8_t inner_type,
                    bool header_in_headroom, Packet packet) {
  std::uint8_t* bytes = packet.data();
  const std::uint32_t n = packet.get()->data_len;
  bytes[n] = inner_type;
  cipher.engine.seal(cipher.suite.aead, cipher.key, nonce, header, bytes, {bytes, n + 1}, bytes + n + 1);
  resize(packet, n + trailer_size);
  if (header_in_headroom)
    std::memcpy(rte_pktmbuf_prepend(packet.get(), record_header_size), header.data(), header.size());
  return packet;
}

}  // namespace

RecordHeader peek_header(const Chain& bytes) {
  std::array<std::uint8_t, record_header_size> raw;
  bytes.peek(0, raw);
  return {static_cast<ContentType>(raw[0]), static_cast<std::uint16_t>(raw[3] << 8 | raw[4])};
}

Opened open_record(const Cipher& cipher, Direction& direction, std::uint32_t size, Chain& in, Chain& out,
                   ContentType& type) {
  DCHECK(in.size() >= record_header_size + size);
  if (size < aead_tag_size + 1) return Opened::bad_record_mac;
  Engine& engine = cipher.engine;
  const std::uint32_t total = record_header_size + size, sealed = size - aead_tag_size;
  const Layout layout = layout_of(in, total);

  Fresh fresh;
  const bool anew = layout.shared || layout.whole <= record_header_size;
  if (anew || layout.whole < total)
    if (!fresh.reserve(anew ? sealed : total - layout.whole, cipher.buffers)) return Opened::no_buffers;

  std::array<std::uint8_t, record_header_size> header;
  in.peek(0, header);
  const auto nonce = direction.nonce();
  Chain content;
  bool good;
  if (!anew && in.first()->data_len == total) {  // one record, one segment: the common request
    Packet packet = in.pop();
    std::uint8_t* bytes = packet.data() + record_header_size;
    good = engine.open(cipher.suite.aead, cipher.key, nonce, header, bytes, {bytes, sealed}, bytes + sealed);
    packet.get()->data_off += record_header_size;
    resize(packet, sealed);
    content.append(std::move(packet));
  } else {
    in.trim_front(record_header_size);
    AeadRun run;
    engine.begin(run, cipher.suite.aead, cipher.key, nonce, header);
    std::array<std::uint8_t, aead_tag_size> tag;
    Writer tag_writer{tag};
    for (std::uint32_t left = size, left_sealed = sealed; left > 0;) {
      rte_mbuf* segment = in.first();
      const std::uint32_t here = std::min<std::uint32_t>(left, segment->data_len), body = std::min(here, left_sealed);
      const bool in_place = !anew && here == segment->data_len;
      std::uint8_t* bytes = data_of(segment);
      tag_writer.put(ByteView{bytes + body, here - body});
      if (in_place) {
        engine.decrypt(run, bytes, bytes, body);
        Packet packet = in.pop();
        resize(packet, body);
        content.append(std::move(packet));
      } else {
        fresh.put(bytes, body,
                  [&](std::uint8_t* to, const std::uint8_t* from, std::size_t n) { engine.decrypt(run, to, from, n); });
        in.trim_front(here);
      }
      left -= here;
      left_sealed -= body;
    }
    good = engine.finish_open(run, tag.data());
    fresh.append_to(content);
  }
  if (!good) return Opened::bad_record_mac;  // `content` dies here
  ++direction.sequence;
  type = take_type(content);
  if (type == ContentType::invalid) return Opened::no_content_type;
  out.append(std::move(content));
  return Opened::ok;
}

bool seal_record(const Cipher& cipher, Direction& direction, ContentType type, std::uint32_t n, Chain& in, Chain& out) {
  DCHECK(n <= in.size() && n <= max_plaintext);
  Engine& engine = cipher.engine;
  const Layout layout = layout_of(in, n);
  const bool anew = layout.shared || layout.whole == 0;
  const std::uint32_t part = n - layout.whole;  // of the segment that the record ends in

  rte_mbuf* first = in.first();
  const bool header_in_headroom = !anew && RTE_MBUF_DIRECT(first) && rte_pktmbuf_headroom(first) >= record_header_size;
  const bool trailer_in_tailroom = !anew && part == 0 && RTE_MBUF_DIRECT(layout.last_whole) &&
                                   rte_pktmbuf_tailroom(layout.last_whole) >= trailer_size;
  Fresh fresh;
  std::uint32_t fresh_bytes = 0;
  if (anew) fresh_bytes = record_header_size + n + trailer_size;
  else if (!trailer_in_tailroom) fresh_bytes = part + trailer_size;
  if (!fresh.reserve(fresh_bytes, cipher.buffers)) return false;

  std::array<std::uint8_t, record_header_size> header;
  Writer writer{header};
  writer.u8(static_cast<std::uint8_t>(ContentType::application_data));
  writer.u16(0x0303);
  writer.u16(static_cast<std::uint16_t>(n + trailer_size));
  if (!anew && !header_in_headroom && !out.append_bytes(header, cipher.buffers)) return false;
  if (anew) fresh.put(header);

  const auto nonce = direction.nonce();
  const std::uint8_t inner_type = static_cast<std::uint8_t>(type);
  if (trailer_in_tailroom && first == layout.last_whole) {
    out.append(seal_segment(cipher, nonce, header, inner_type, header_in_headroom, in.pop()));
    ++direction.sequence;
    return true;
  }

  AeadRun run;
  engine.begin(run, cipher.suite.aead, cipher.key, nonce, header);
  const auto seal_into_fresh = [&](std::uint8_t* to, const std::uint8_t* from, std::size_t size) {
    engine.encrypt(run, to, from, size);
  };
  for (std::uint32_t left = n; left > 0;) {
    rte_mbuf* segment = in.first();
    const std::uint32_t here = std::min<std::uint32_t>(left, segment->data_len);
    std::uint8_t* bytes = data_of(segment);
    left -= here;
    if (anew || here < segment->data_len) {
      fresh.put(bytes, here, seal_into_fresh);
      in.trim_front(here);
      continue;
    }
    Packet packet = in.pop();
    const bool last = left == 0 && trailer_in_tailroom;
    if (last) bytes[here] = inner_type;
    engine.encrypt(run, bytes, bytes, here + last);
    if (last) {
      engine.finish_seal(run, bytes + here + 1);
      resize(packet, here + trailer_size);
    }
    if (segment == first && header_in_headroom)
      std::memcpy(rte_pktmbuf_prepend(packet.get(), record_header_size), header.data(), header.size());
    out.append(std::move(packet));
  }
  if (!trailer_in_tailroom) {
    std::array<std::uint8_t, trailer_size> trailer;
    engine.encrypt(run, trailer.data(), &inner_type, 1);
    engine.finish_seal(run, trailer.data() + 1);
    fresh.put(trailer);
    fresh.append_to(out);
  }
  ++direction.sequence;
  return true;
}

std::uint32_t record_payload(const Chain& in, bool bulk) {
  // A first record that fits one segment of the peer's can be opened before the rest of the flight has come.
  constexpr std::uint32_t small = 1400, largest_small = buffer_data_size;
  const rte_mbuf* segment = in.first();
  if (!bulk) {
    if (in.size() <= small) return in.size();
    return segment->data_len >= small / 2 && segment->data_len <= largest_small ? segment->data_len : small;
  }
  // 22 bytes below the maximum, a record with its header and tag fills eight fresh buffers.
  constexpr std::uint32_t limit = max_plaintext - record_header_size - 1 - aead_tag_size;
  if (in.size() <= limit) return in.size();
  std::uint32_t whole = 0;
  for (; segment && whole + segment->data_len <= limit; segment = segment->next) whole += segment->data_len;
  return whole >= limit / 2 ? whole : limit;
}

}  // namespace sluice::tls
