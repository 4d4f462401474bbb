// record.h - the TLS 1.3 record layer over chains (RFC 8446 5): seals and opens one record at a time.
// In place where we are the sole owner of a record's segments; the part of a segment that a record ends in, and all of
// a record that shares a segment with someone else, goes into fresh buffers straight from the source. Nothing is
// changed before the buffers it takes are there, so that "no buffers" can be tried again.
#pragma once

#include "crypto/tls/handshake.h"
#include "crypto/tls/secrets.h"
#include "dataplane/packet/chain.h"

namespace sluice::tls {

enum class ContentType : std::uint8_t {
  invalid = 0,
  change_cipher_spec = 20,
  alert = 21,
  handshake = 22,
  application_data = 23
};

// RFC 8446 6. Only those that we send or look at.
enum class Alert : std::uint8_t {
  close_notify = 0,
  unexpected_message = 10,
  bad_record_mac = 20,
  record_overflow = 22,
  handshake_failure = 40,
  illegal_parameter = 47,
  decode_error = 50,
  internal_error = 80,
  user_canceled = 90,
};

struct RecordHeader {
  ContentType type = ContentType::invalid;
  std::uint16_t size = 0;  // without the header
};
// The header at the front of `bytes`, which hold at least record_header_size.
RecordHeader peek_header(const Chain& bytes);

enum class Opened : std::uint8_t { ok, no_buffers, bad_record_mac, no_content_type };

// The keys, and where bytes come from, for one direction of one connection.
struct Cipher {
  Engine& engine;
  const SuiteInfo& suite;
  const AeadKey& key;
  Buffers& buffers;
};

// Opens the record at the front of `in`, all of whose record_header_size + size bytes are there, and takes it off. Its
// content (no padding, no type) is appended to `out`. On no_buffers nothing has changed; on a bad record the connection
// is lost, and nothing of the record is in `out`.
Opened open_record(const Cipher& cipher, Direction& direction, std::uint32_t size, Chain& in, Chain& out,
                   ContentType& type);

// Seals the first n bytes of `in` (n <= max_plaintext) as one record at the end of `out`. False when buffers ran out,
// and nothing has changed.
bool seal_record(const Cipher& cipher, Direction& direction, ContentType type, std::uint32_t n, Chain& in, Chain& out);

// How much of `in` the next record should hold: whole segments where that comes near the limit, so that none is cut.
std::uint32_t record_payload(const Chain& in, bool bulk);

}  // namespace sluice::tls
