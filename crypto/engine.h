// engine.h - authenticated encryption and hashing by Intel IPsec-MB, one engine a worker.
// Every call of IPsec-MB 1.3 writes one process-wide error word, which two cores would fight for: so each engine loads
// a private copy of the library, and the program is not linked with it. AES-GCM goes through the direct scatter-gather
// calls, ChaCha20-Poly1305 likewise; all work piece by piece from any source to any destination, in place where both
// are equal. Opening hands out bytes before the tag was checked: the caller releases none of them until finish_open()
// said yes. Owner: one worker (or a test). Built at start: opening allocates and enters the kernel, nothing else does.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "crypto/aead.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/counters.h"

struct IMB_MGR;

namespace sluice {

// An expanded key. 1 kB: idle connections do not keep one (tls/key_cache.h).
struct alignas(64) AeadKey {
  std::uint8_t bytes[1024];
};

// One message on its way through the cipher.
struct alignas(64) AeadRun {
  std::uint8_t context[320];
  const AeadKey* key;
  Aead aead;
};

enum class CodePath : std::uint8_t { automatic, sse, avx, avx2, avx512 };

class Engine {
 public:
  // A private copy of libIPSec_MB.so.1 for this engine. The error is the operator's: what is missing and where it was
  // sought.
  static std::expected<std::unique_ptr<Engine>, std::string> open(Counters& counters,
                                                                  CodePath path = CodePath::automatic);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // key.size() is key_size(aead).
  void expand(Aead aead, ByteView key, AeadKey& out);

  // One message: begin, any number of pieces of any size, finish. Nonce: 12 bytes.
  void begin(AeadRun& run, Aead aead, const AeadKey& key, ByteView nonce, ByteView additional);
  void encrypt(AeadRun& run, std::uint8_t* to, const std::uint8_t* from, std::size_t n);
  void decrypt(AeadRun& run, std::uint8_t* to, const std::uint8_t* from, std::size_t n);
  void finish_seal(AeadRun& run, std::uint8_t* tag);
  [[nodiscard]] bool finish_open(AeadRun& run, const std::uint8_t* tag);

  // The same for a message in one piece, which is faster when it is small.
  void seal(Aead aead, const AeadKey& key, ByteView nonce, ByteView additional, std::uint8_t* to, ByteView from,
            std::uint8_t* tag);
  [[nodiscard]] bool open(Aead aead, const AeadKey& key, ByteView nonce, ByteView additional, std::uint8_t* to,
                          ByteView from, const std::uint8_t* tag);

  // The hash of a whole message. out: hash_size(hash) bytes.
  void hash(Hash hash, ByteView message, std::uint8_t* out);

  std::string_view code_path() const;  // "SSE", "AVX", "AVX2", "AVX512"
  std::string_view version() const;    // IPsec-MB's own

 private:
  struct Library;
  Engine(Counters& counters, std::unique_ptr<Library> library);

  Counters& counters_;
  std::unique_ptr<Library> library_;
  IMB_MGR* manager_;
};

}  // namespace sluice
