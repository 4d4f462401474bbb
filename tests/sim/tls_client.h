// tls_client.h - OpenSSL as the simulated clients' TLS, over memory, and its random numbers from the seed.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <openssl/ssl.h>

namespace sluice::sim {

// From now on every random number of OpenSSL, of clients and of the node, comes from this seed (the handshakes of a run
// are the same at every replay).
void seed_openssl(std::uint64_t seed);

// A certificate for www.example.com, the same in every process, and its key.
struct PemPair {
  std::string certificate, key;
};
const PemPair& server_identity();

class TlsClient {
 public:
  TlsClient();
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // Ciphertext in; plaintext that it held is appended. False when TLS says that something is wrong.
  bool receive(std::string_view wire, std::string& plaintext);
  // Plaintext that is to go out; kept until the handshake is over.
  void send(std::string_view plaintext) { waiting_ += plaintext; }
  // What is to go out now.
  std::string take();
  void close();
  bool closed_by_peer() const { return closed_; }

 private:
  SSL* ssl_;
  BIO* in_;
  BIO* out_;
  std::string waiting_;
  bool begun_ = false, closed_ = false, failed_ = false;
};

}  // namespace sluice::sim
