// segments.h - IPv4 and IPv6 TCP segments for a C program that drives tcp_shim as an outside runner does: written and
// read byte by byte, checksums included, with nothing of this tree.
#pragma once

#include <stdint.h>
#include <string.h>

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32, ECE = 64, CWR = 128 };

// Addresses are 4 or 16 bytes in network order; `v6` says which.
struct segment {
  int v6;
  uint8_t source[16], destination[16];
  uint16_t source_port, destination_port;
  uint32_t seq, ack;
  uint8_t flags;
  uint16_t window;
  uint8_t options[40];
  size_t options_size;  // a multiple of 4
  const uint8_t* payload;
  size_t size;
};

static inline uint32_t segment_sum(const uint8_t* at, size_t size, uint32_t sum) {
  for (size_t i = 0; i + 1 < size; i += 2) sum += (uint32_t)(at[i] << 8 | at[i + 1]);
  if (size & 1) sum += (uint32_t)(at[size - 1] << 8);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

static inline void segment_put16(uint8_t* at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}
static inline void segment_put32(uint8_t* at, uint32_t value) {
  segment_put16(at, value >> 16);
  segment_put16(at + 2, value & 0xffff);
}
static inline uint16_t segment_get16(const uint8_t* at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint32_t segment_get32(const uint8_t* at) {
  return (uint32_t)segment_get16(at) << 16 | segment_get16(at + 2);
}

// The sum over pseudo header, TCP header and payload, folded: 0xffff when the checksum in it is right.
static inline uint32_t segment_tcp_sum(const uint8_t* ip, int v6, size_t tcp_size) {
  const uint32_t start = 6 + (uint32_t)tcp_size;
  return segment_sum(ip + (v6 ? 40 : 20), tcp_size, segment_sum(v6 ? ip + 8 : ip + 12, v6 ? 32 : 8, start));
}

// Writes the packet to `out` (which has the room) and returns its size.
static inline size_t segment_write(const struct segment* s, uint8_t* out) {
  const size_t ip = s->v6 ? 40 : 20, header = 20 + s->options_size, tcp_size = header + s->size;
  memset(out, 0, ip + header);
  if (s->v6) {
    out[0] = 0x60;
    segment_put16(out + 4, (uint32_t)tcp_size);
    out[6] = 6;
    out[7] = 64;
    memcpy(out + 8, s->source, 16);
    memcpy(out + 24, s->destination, 16);
  } else {
    out[0] = 0x45;
    segment_put16(out + 2, (uint32_t)(ip + tcp_size));
    out[8] = 64;
    out[9] = 6;
    memcpy(out + 12, s->source, 4);
    memcpy(out + 16, s->destination, 4);
    segment_put16(out + 10, ~segment_sum(out, 20, 0) & 0xffff);
  }
  uint8_t* tcp = out + ip;
  segment_put16(tcp, s->source_port);
  segment_put16(tcp + 2, s->destination_port);
  segment_put32(tcp + 4, s->seq);
  segment_put32(tcp + 8, s->ack);
  tcp[12] = (uint8_t)(header / 4 << 4);
  tcp[13] = s->flags;
  segment_put16(tcp + 14, s->window);
  memcpy(tcp + 20, s->options, s->options_size);
  if (s->size) memcpy(tcp + header, s->payload, s->size);
  segment_put16(tcp + 16, ~segment_tcp_sum(out, s->v6, tcp_size) & 0xffff);
  return ip + tcp_size;
}

// Reads a packet that left. The payload points into it. 0 when a length or a checksum is wrong, else 1.
static inline int segment_read(const uint8_t* in, size_t size, struct segment* s) {
  memset(s, 0, sizeof *s);
  if (size < 40) return 0;
  s->v6 = in[0] >> 4 == 6;
  const size_t ip = s->v6 ? 40 : 20, total = s->v6 ? 40u + segment_get16(in + 4) : segment_get16(in + 2);
  if (total != size || in[s->v6 ? 6 : 9] != 6) return 0;
  if (!s->v6 && segment_sum(in, 20, 0) != 0xffff) return 0;
  if (segment_tcp_sum(in, s->v6, size - ip) != 0xffff) return 0;
  memcpy(s->source, in + (s->v6 ? 8 : 12), s->v6 ? 16 : 4);
  memcpy(s->destination, in + (s->v6 ? 24 : 16), s->v6 ? 16 : 4);
  const uint8_t* tcp = in + ip;
  const size_t header = (size_t)(tcp[12] >> 4) * 4;
  if (header < 20 || ip + header > size) return 0;
  s->source_port = segment_get16(tcp);
  s->destination_port = segment_get16(tcp + 2);
  s->seq = segment_get32(tcp + 4);
  s->ack = segment_get32(tcp + 8);
  s->flags = tcp[13];
  s->window = segment_get16(tcp + 14);
  s->options_size = header - 20;
  memcpy(s->options, tcp + 20, header - 20);
  s->payload = tcp + header;
  s->size = size - ip - header;
  return 1;
}
