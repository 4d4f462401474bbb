#include "crypto/engine.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <intel-ipsec-mb.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "crypto/secret.h"

namespace sluice {

namespace {

constexpr const char* library_name = "libIPSec_MB.so.1";
constexpr const char* library_folders[] = {
    "/usr/lib/x86_64-linux-gnu", "/usr/lib64",           "/usr/lib", "/usr/local/lib",
    "/usr/local/lib64",          "/lib/x86_64-linux-gnu"};

static_assert(sizeof(gcm_key_data) <= sizeof(AeadKey));
static_assert(sizeof(gcm_context_data) <= sizeof(AeadRun::context));
static_assert(sizeof(chacha20_poly1305_context_data) <= sizeof(AeadRun::context));

// Where the dynamic linker finds the library, when it is in none of the usual folders.
std::string path_by_linker() {
  void* handle = dlopen(library_name, RTLD_LAZY | RTLD_LOCAL);
  if (!handle) return {};
  link_map* map = nullptr;
  std::string path;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map) path = map->l_name;
  dlclose(handle);
  return path;
}

std::string find_library() {
  for (const char* folder : library_folders) {
    std::string path = std::string{folder} + "/" + library_name;
    if (access(path.c_str(), R_OK) == 0) return path;
  }
  return path_by_linker();
}

// A file in memory with the library's bytes, or -1. Its descriptor must stay open: the dynamic linker knows the copy by
// its name under /proc/self/fd.
int copy_to_memory(const std::string& path) {
  const int source = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (source < 0) return -1;
  struct stat about;
  int copy = fstat(source, &about) == 0 ? memfd_create("ipsec-mb", MFD_CLOEXEC) : -1;
  for (off_t left = copy < 0 ? 0 : about.st_size; left > 0;) {
    const ssize_t n = sendfile(copy, source, nullptr, static_cast<std::size_t>(left));
    if (n <= 0) {
      close(copy);
      copy = -1;
      break;
    }
    left -= n;
  }
  close(source);
  return copy;
}

gcm_key_data* gcm(AeadKey& key) { return reinterpret_cast<gcm_key_data*>(key.bytes); }
const gcm_key_data* gcm(const AeadKey& key) { return reinterpret_cast<const gcm_key_data*>(key.bytes); }
gcm_context_data* gcm(AeadRun& run) { return reinterpret_cast<gcm_context_data*>(run.context); }
chacha20_poly1305_context_data* chacha(AeadRun& run) {
  return reinterpret_cast<chacha20_poly1305_context_data*>(run.context);
}

}  // namespace

struct Engine::Library {
  int memory = -1;
  void* handle = nullptr;
  IMB_MGR* manager = nullptr;
  void (*free_manager)(IMB_MGR*) = nullptr;
  const char* version = "";

  Library() = default;
  ~Library() {
    if (manager) free_manager(manager);
    if (handle) dlclose(handle);
    if (memory >= 0) close(memory);
  }
  template <typename F>
  bool resolve(const char* name, F& function) const {
    function = reinterpret_cast<F>(dlsym(handle, name));
    return function != nullptr;
  }
};

std::expected<std::unique_ptr<Engine>, std::string> Engine::open(Counters& counters, CodePath path) {
  auto library = std::make_unique<Library>();
  const std::string file = find_library();
  if (file.empty()) return std::unexpected(std::string{library_name} + " is not installed (package libipsec-mb1)");
  library->memory = copy_to_memory(file);
  if (library->memory < 0) return std::unexpected("cannot copy " + file + " to memory: " + std::strerror(errno));
  const std::string name = "/proc/self/fd/" + std::to_string(library->memory);
  library->handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library->handle) return std::unexpected("cannot load a copy of " + file + ": " + dlerror());

  IMB_MGR* (*make_manager)(std::uint64_t);
  void (*init)(IMB_MGR*) = nullptr;
  void (*init_auto)(IMB_MGR*, IMB_ARCH*);
  const char* (*version)();
  if (!library->resolve("alloc_mb_mgr", make_manager) || !library->resolve("free_mb_mgr", library->free_manager) ||
      !library->resolve("init_mb_mgr_auto", init_auto) || !library->resolve("imb_get_version_str", version))
    return std::unexpected(file + " lacks a function that we need: it is not IPsec-MB 1.x");
  library->version = version();
  if (!std::string_view{library->version}.starts_with("1."))
    return std::unexpected(file + " is IPsec-MB " + library->version + ", and we know 1.x");
  library->manager = make_manager(0);
  if (!library->manager) return std::unexpected("IPsec-MB finds no memory for its manager");

  struct Choice {
    CodePath path;
    const char* init;
    std::uint64_t features;
  };
  static constexpr Choice choices[] = {{CodePath::sse, "init_mb_mgr_sse", IMB_CPUFLAGS_SSE},
                                       {CodePath::avx, "init_mb_mgr_avx", IMB_CPUFLAGS_AVX},
                                       {CodePath::avx2, "init_mb_mgr_avx2", IMB_CPUFLAGS_AVX2},
                                       {CodePath::avx512, "init_mb_mgr_avx512", IMB_CPUFLAGS_AVX512}};
  if (path == CodePath::automatic) init_auto(library->manager, nullptr);
  for (const Choice& choice : choices) {
    if (choice.path != path) continue;
    if ((library->manager->features & choice.features) != choice.features || !library->resolve(choice.init, init))
      return std::unexpected("this processor lacks what IPsec-MB needs for " + std::string{choice.init});
    init(library->manager);
  }
  const std::uint64_t features = library->manager->features;
  if ((features & IMB_FEATURE_AESNI) == 0 || !library->manager->gcm128_enc)
    return std::unexpected("IPsec-MB needs AES-NI, which this processor lacks");
  if ((features & IMB_FEATURE_SELF_TEST) && !(features & IMB_FEATURE_SELF_TEST_PASS))
    return std::unexpected("the self-test of IPsec-MB failed on this processor");
  return std::unique_ptr<Engine>{new Engine(counters, std::move(library))};
}

Engine::Engine(Counters& counters, std::unique_ptr<Library> library)
    : counters_(counters), library_(std::move(library)), manager_(library_->manager) {}
Engine::~Engine() = default;

void Engine::expand(Aead aead, ByteView key, AeadKey& out) {
  DCHECK(key.size() == key_size(aead));
  switch (aead) {
    case Aead::aes128_gcm: IMB_AES128_GCM_PRE(manager_, key.data(), gcm(out)); return;
    case Aead::aes256_gcm: IMB_AES256_GCM_PRE(manager_, key.data(), gcm(out)); return;
    case Aead::chacha20_poly1305: std::memcpy(out.bytes, key.data(), key.size()); return;
  }
}

void Engine::begin(AeadRun& run, Aead aead, const AeadKey& key, ByteView nonce, ByteView additional) {
  DCHECK(nonce.size() == aead_nonce_size);
  run.key = &key;
  run.aead = aead;
  switch (aead) {
    case Aead::aes128_gcm:
      IMB_AES128_GCM_INIT(manager_, gcm(key), gcm(run), nonce.data(), additional.data(), additional.size());
      return;
    case Aead::aes256_gcm:
      IMB_AES256_GCM_INIT(manager_, gcm(key), gcm(run), nonce.data(), additional.data(), additional.size());
      return;
    case Aead::chacha20_poly1305:
      IMB_CHACHA20_POLY1305_INIT(manager_, key.bytes, chacha(run), nonce.data(), additional.data(), additional.size());
      return;
  }
}

void Engine::encrypt(AeadRun& run, std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  if (n == 0) return;
  counters_.add(Counter::tls_sealed_bytes, n);
  switch (run.aead) {
    case Aead::aes128_gcm: IMB_AES128_GCM_ENC_UPDATE(manager_, gcm(*run.key), gcm(run), to, from, n); return;
    case Aead::aes256_gcm: IMB_AES256_GCM_ENC_UPDATE(manager_, gcm(*run.key), gcm(run), to, from, n); return;
    case Aead::chacha20_poly1305:
      IMB_CHACHA20_POLY1305_ENC_UPDATE(manager_, run.key->bytes, chacha(run), to, from, n);
      return;
  }
}

void Engine::decrypt(AeadRun& run, std::uint8_t* to, const std::uint8_t* from, std::size_t n) {
  if (n == 0) return;
  counters_.add(Counter::tls_opened_bytes, n);
  switch (run.aead) {
    case Aead::aes128_gcm: IMB_AES128_GCM_DEC_UPDATE(manager_, gcm(*run.key), gcm(run), to, from, n); return;
    case Aead::aes256_gcm: IMB_AES256_GCM_DEC_UPDATE(manager_, gcm(*run.key), gcm(run), to, from, n); return;
    case Aead::chacha20_poly1305:
      IMB_CHACHA20_POLY1305_DEC_UPDATE(manager_, run.key->bytes, chacha(run), to, from, n);
      return;
  }
}

void Engine::finish_seal(AeadRun& run, std::uint8_t* tag) {
  switch (run.aead) {
    case Aead::aes128_gcm: IMB_AES128_GCM_ENC_FINALIZE(manager_, gcm(*run.key), gcm(run), tag, aead_tag_size); return;
    case Aead::aes256_gcm: IMB_AES256_GCM_ENC_FINALIZE(manager_, gcm(*run.key), gcm(run), tag, aead_tag_size); return;
    case Aead::chacha20_poly1305:
      IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager_, chacha(run), tag, aead_tag_size);
      wipe(run.context, sizeof run.context);
      return;
  }
}

bool Engine::finish_open(AeadRun& run, const std::uint8_t* tag) {
  std::uint8_t computed[aead_tag_size];
  switch (run.aead) {
    case Aead::aes128_gcm:
      IMB_AES128_GCM_DEC_FINALIZE(manager_, gcm(*run.key), gcm(run), computed, aead_tag_size);
      break;
    case Aead::aes256_gcm:
      IMB_AES256_GCM_DEC_FINALIZE(manager_, gcm(*run.key), gcm(run), computed, aead_tag_size);
      break;
    case Aead::chacha20_poly1305:
      IMB_CHACHA20_POLY1305_DEC_FINALIZE(manager_, chacha(run), computed, aead_tag_size);
      wipe(run.context, sizeof run.context);
      break;
  }
  return equal_in_constant_time({computed, aead_tag_size}, {tag, aead_tag_size});
}

void Engine::seal(Aead aead, const AeadKey& key, ByteView nonce, ByteView additional, std::uint8_t* to, ByteView from,
                  std::uint8_t* tag) {
  AeadRun run;
  if (aead == Aead::chacha20_poly1305) {
    begin(run, aead, key, nonce, additional);
    encrypt(run, to, from.data(), from.size());
    return finish_seal(run, tag);
  }
  DCHECK(nonce.size() == aead_nonce_size);
  counters_.add(Counter::tls_sealed_bytes, from.size());
  const auto encrypt_all = aead == Aead::aes128_gcm ? manager_->gcm128_enc : manager_->gcm256_enc;
  encrypt_all(gcm(key), gcm(run), to, from.data(), from.size(), nonce.data(), additional.data(), additional.size(), tag,
              aead_tag_size);
}

bool Engine::open(Aead aead, const AeadKey& key, ByteView nonce, ByteView additional, std::uint8_t* to, ByteView from,
                  const std::uint8_t* tag) {
  AeadRun run;
  if (aead == Aead::chacha20_poly1305) {
    begin(run, aead, key, nonce, additional);
    decrypt(run, to, from.data(), from.size());
    return finish_open(run, tag);
  }
  DCHECK(nonce.size() == aead_nonce_size);
  counters_.add(Counter::tls_opened_bytes, from.size());
  std::uint8_t computed[aead_tag_size];
  const auto decrypt_all = aead == Aead::aes128_gcm ? manager_->gcm128_dec : manager_->gcm256_dec;
  decrypt_all(gcm(key), gcm(run), to, from.data(), from.size(), nonce.data(), additional.data(), additional.size(),
              computed, aead_tag_size);
  return equal_in_constant_time({computed, aead_tag_size}, {tag, aead_tag_size});
}

void Engine::hash(Hash hash, ByteView message, std::uint8_t* out) {
  if (hash == Hash::sha256) {
    IMB_SHA256(manager_, message.data(), message.size(), out);
  } else {
    IMB_SHA384(manager_, message.data(), message.size(), out);
  }
}

std::string_view Engine::code_path() const {
  switch (static_cast<IMB_ARCH>(manager_->used_arch)) {
    case IMB_ARCH_SSE: return "SSE";
    case IMB_ARCH_AVX: return "AVX";
    case IMB_ARCH_AVX2: return "AVX2";
    case IMB_ARCH_AVX512: return "AVX512";
    default: return "none";
  }
}
std::string_view Engine::version() const { return library_->version; }

}  // namespace sluice
