#include "crypto/tls/handshake.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>

#include "crypto/tls/openssl.h"
#include "dataplane/base/guard.h"

namespace sluice::tls {

namespace {

Handshake& of(const SSL* ssl) { return *static_cast<Handshake*>(SSL_get_app_data(ssl)); }

int hex_value(char c) {
  return c >= '0' && c <= '9'   ? c - '0'
         : c >= 'a' && c <= 'f' ? c - 'a' + 10
         : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                : -1;
}

bool read_hex(std::string_view text, Secret<max_hash_size>& out) {
  if (text.size() % 2 || text.size() / 2 > max_hash_size) return false;
  MutableBytes bytes = out.resize(text.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return true;
}

// An alert before any key is agreed on goes out in the clear (RFC 8446 5.1).
void put_plain_alert(HandshakeOutput& out, std::uint8_t description) {
  const std::uint8_t record[] = {21, 3, 3, 0, 2, 2, description};
  if (out.bytes.size() - out.size < sizeof record) return;
  std::memcpy(out.bytes.data() + out.size, record, sizeof record);
  out.size += sizeof record;
}

}  // namespace

BioMethod HandshakeCallbacks::make_bio_method() {
  BioMethod method{BIO_meth_new(BIO_TYPE_SOURCE_SINK | 126, "sluice records")};
  CHECK(method);
  BIO_meth_set_read_ex(method.get(), read);
  BIO_meth_set_write_ex(method.get(), write);
  BIO_meth_set_ctrl(method.get(), control);
  return method;
}

int HandshakeCallbacks::read(BIO* bio, char* to, std::size_t size, std::size_t* done) {
  auto& handshake = *static_cast<Handshake*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *done = std::min(size, handshake.input_.size());
  if (*done == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(to, handshake.input_.data(), *done);
  handshake.input_ = handshake.input_.subspan(*done);
  return 1;
}

int HandshakeCallbacks::write(BIO* bio, const char* from, std::size_t size, std::size_t* done) {
  auto& handshake = *static_cast<Handshake*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  HandshakeOutput* out = handshake.output_;
  if (!out || size > out->bytes.size() - out->size) return 0;
  std::memcpy(out->bytes.data() + out->size, from, size);
  out->size += static_cast<std::uint32_t>(size);
  *done = size;
  return 1;
}

long HandshakeCallbacks::control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH; }

void HandshakeCallbacks::keylog(const SSL* ssl, const char* line) {
  Handshake& handshake = of(ssl);
  const std::string_view text{line};
  const std::size_t first = text.find(' '), second = text.find(' ', first + 1);
  if (second == std::string_view::npos) return;
  const std::string_view label = text.substr(0, first), value = text.substr(second + 1);
  if (label == "CLIENT_TRAFFIC_SECRET_0" && !read_hex(value, handshake.result_.client_secret))
    handshake.result_.client_secret.clear();
  if (label == "SERVER_TRAFFIC_SECRET_0" && !read_hex(value, handshake.result_.server_secret))
    handshake.result_.server_secret.clear();
}

int HandshakeCallbacks::choose_identity(SSL* ssl, int* alert, void*) {
  Handshake& handshake = of(ssl);
  const ServerContext::Inner& context = *handshake.context_;
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    const auto normal = normal_name(name);
    if (!normal) {
      *alert = SSL_AD_ILLEGAL_PARAMETER;
      return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    handshake.result_.name = *normal;
    if (const auto identity = context.names.find(*normal)) {
      SSL_set_SSL_CTX(ssl, context.threads[handshake.thread_].named[*identity].get());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  if (context.has_fallback) return SSL_TLSEXT_ERR_OK;
  handshake.failure_ = Failure::unknown_name;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

int HandshakeCallbacks::choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                                        const unsigned char* in, unsigned in_size, void*) {
  Handshake& handshake = of(ssl);
  for (const ProtocolName& ours : handshake.context_->protocols) {
    Reader offers{{in, in_size}};
    while (offers.ok() && offers.left()) {
      const ByteView offer = offers.view(offers.u8());
      if (text(offer) != ours.view()) continue;
      *out = offer.data();
      *out_size = static_cast<unsigned char>(offer.size());
      return SSL_TLSEXT_ERR_OK;
    }
  }
  handshake.failure_ = Failure::no_protocol;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Answers of OpenSSL's callback: 0 unknown key (full handshake), 1 good, 2 good but give the client a new ticket, -1
// broken.
int HandshakeCallbacks::ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                   EVP_MAC_CTX* mac, int seal) {
  const Handshake& handshake = of(ssl);
  const ServerContext::Inner& context = *handshake.context_;
  const TicketKeys keys = context.keyring->get();
  const TicketKey none{};
  const TicketKey* key = nullptr;
  if (seal) {
    key = &keys.current;
    if (*key == none || RAND_bytes_ex(context.threads[handshake.thread_].library, iv, 16, 0) != 1) return -1;
    std::memcpy(name, key->name.data(), key->name.size());
  } else {
    for (const TicketKey* candidate : {&keys.current, &keys.previous})
      if (*candidate != none && std::memcmp(candidate->name.data(), name, candidate->name.size()) == 0) key = candidate;
    if (!key) return 0;
  }
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_octet_string(
                                       OSSL_MAC_PARAM_KEY, const_cast<std::uint8_t*>(key->mac.data()), key->mac.size()),
                                   OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                   OSSL_PARAM_construct_end()};
  const EVP_CIPHER* method = context.threads[handshake.thread_].ticket_cipher.get();
  if (EVP_CipherInit_ex2(cipher, method, key->cipher.data(), iv, seal, nullptr) != 1 ||
      EVP_MAC_CTX_set_params(mac, parameters) != 1)
    return -1;
  return key == &keys.previous ? 2 : 1;
}

void HandshakeCallbacks::install(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, keylog);
  SSL_CTX_set_tlsext_servername_callback(context, choose_identity);
  SSL_CTX_set_tlsext_ticket_key_evp_cb(context, ticket_key);
}

Handshake::Handshake(std::shared_ptr<const ServerContext::Inner> context, unsigned thread)
    : context_(std::move(context)), thread_(thread) {
  CHECK(thread < context_->threads.size());
}

Handshake::~Handshake() {
  GuardPause openssl;
  release();
  context_.reset();
}

void Handshake::release() {
  if (ssl_) SSL_free(ssl_);
  ssl_ = nullptr;
}

bool Handshake::start() {
  ssl_ = SSL_new(context_->threads[thread_].fallback.get());
  BIO* bio = ssl_ ? BIO_new(context_->bio_method.get()) : nullptr;
  if (!bio) return false;
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  SSL_set_accept_state(ssl_);
  return true;
}

Handshake::Step Handshake::fail(Failure failure) {
  failure_ = failure;
  release();
  ERR_clear_error();
  return Step::failed;
}

// The first entry of OpenSSL's error queue is the cause; what a callback found weighs more.
Failure Handshake::reason() const {
  if (failure_ != Failure::none) return failure_;
  const unsigned long error = ERR_peek_error();
  if (ERR_GET_LIB(error) != ERR_LIB_SSL) return error ? Failure::malformed : Failure::internal;
  const int code = ERR_GET_REASON(error);
  if (code > SSL_AD_REASON_OFFSET && code < SSL_AD_REASON_OFFSET + 256) return Failure::refused;
  switch (code) {
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_VERSION_NUMBER: return Failure::protocol_version;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_SHARED_GROUPS: return Failure::no_shared_offer;
    case ERR_R_MALLOC_FAILURE:
    case ERR_R_INTERNAL_ERROR: return Failure::internal;
    default: return Failure::malformed;
  }
}

Handshake::Step Handshake::finish(ByteView last_flight) {
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_);
  result_.suite = cipher ? static_cast<Suite>(SSL_CIPHER_get_protocol_id(cipher)) : Suite::none;
  const SuiteInfo* suite = find_suite(result_.suite);
  if (!suite || result_.client_secret.size() != hash_size(suite->hash) ||
      result_.server_secret.size() != hash_size(suite->hash) || !input_.empty() || SSL_has_pending(ssl_))
    return fail(Failure::internal);
  result_.role = Role::server;
  result_.resumed = SSL_session_reused(ssl_);
  const unsigned char* protocol = nullptr;
  unsigned protocol_size = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &protocol_size);
  if (protocol_size <= result_.protocol.text.size()) {
    std::copy_n(protocol, protocol_size, result_.protocol.text.data());
    result_.protocol.size = static_cast<std::uint8_t>(protocol_size);
  }
  // Whatever OpenSSL sent after the client's Finished, the tickets, it sealed with the application key: one number a
  // record.
  Reader flight{last_flight};
  while (flight.left()) {
    const std::uint8_t type = flight.u8();
    flight.u16();
    flight.prefixed_u16();
    if (!flight.ok()) return fail(Failure::internal);
    result_.server_sequence += type == 23;
  }
  release();
  return Step::done;
}

Handshake::Step Handshake::step(ByteView in, std::size_t& consumed, HandshakeOutput& out) {
  GuardPause openssl;
  consumed = 0;
  output_ = &out;
  ERR_clear_error();
  if (!ssl_ && !start()) return fail(Failure::internal);
  while (in.size() - consumed >= record_header_size) {
    const ByteView rest = in.subspan(consumed);
    const std::size_t size = rest[3] << 8 | rest[4];
    if (rest[0] < 20 || rest[0] > 23 || size > max_ciphertext) {
      constexpr std::uint8_t unexpected_message = 10, record_overflow = 22;
      put_plain_alert(out, rest[0] < 20 || rest[0] > 23 ? unexpected_message : record_overflow);
      return fail(Failure::malformed);
    }
    if (rest.size() < record_header_size + size) break;
    input_ = rest.first(record_header_size + size);
    consumed += input_.size();
    const std::uint32_t before = out.size;
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) return finish(out.view().subspan(before));
    if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) return fail(reason());
  }
  return Step::more;
}

HandshakeLine::HandshakeLine(unsigned thread, unsigned depth, Nanos patience)
    : thread_(thread),
      patience_(patience),
      there_(depth),
      back_(depth),
      jobs_(new HandshakeJob[depth]),
      free_(new HandshakeJob*[depth]),
      free_count_(depth) {
  for (unsigned i = 0; i < depth; ++i) free_[i] = &jobs_[i];
}
HandshakeLine::~HandshakeLine() = default;

HandshakeJob* HandshakeLine::make() { return free_count_ ? free_[--free_count_] : nullptr; }

void HandshakeLine::submit(HandshakeJob* job) { CHECK(there_.push(static_cast<HandshakeJob*&&>(job))); }

HandshakeJob* HandshakeLine::take() {
  HandshakeJob* job = nullptr;
  return back_.pop(job) ? job : nullptr;
}

void HandshakeLine::free(HandshakeJob* job) { free_[free_count_++] = job; }

bool HandshakeLine::serve(Nanos now) {
  HandshakeJob* job = nullptr;
  if (!there_.pop(job)) return false;
  job->consumed = 0;
  job->out.size = 0;
  job->dropped = now - job->submitted > patience_;
  job->result = job->dropped ? Handshake::Step::failed
                             : job->handshake->step({job->in.data(), job->in_size}, job->consumed, job->out);
  CHECK(back_.push(static_cast<HandshakeJob*&&>(job)));
  return true;
}

}  // namespace sluice::tls
