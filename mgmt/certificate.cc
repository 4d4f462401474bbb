#include "mgmt/certificate.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>
#include <memory>

namespace sluice::mgmt {

namespace {

template <auto free_function>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    free_function(object);
  }
};

void add_name(std::vector<std::string>& names, const ASN1_STRING* text) {
  std::string name{reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                   static_cast<std::size_t>(ASN1_STRING_length(text))};
  std::ranges::transform(name, name.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  const bool plain = !name.empty() && name.size() <= 253 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == '*';
  });
  if (plain && std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
}

}  // namespace

std::optional<std::vector<std::string>> server_names_of(std::string_view chain_pem) {
  if (chain_pem.empty() || chain_pem.size() > INT_MAX) return std::nullopt;
  const std::unique_ptr<BIO, Free<BIO_free>> bio{BIO_new_mem_buf(chain_pem.data(), static_cast<int>(chain_pem.size()))};
  const auto no_pass_phrase = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<X509, Free<X509_free>> leaf{PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr)};
  ERR_clear_error();
  if (!leaf) return std::nullopt;

  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, Free<GENERAL_NAMES_free>> alternatives{
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf.get(), NID_subject_alt_name, nullptr, nullptr))};
  for (int i = 0; alternatives && i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* each = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (each->type == GEN_DNS) add_name(names, each->d.dNSName);
  }
  const X509_NAME* subject = X509_get_subject_name(leaf.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (!alternatives && at >= 0) add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  ERR_clear_error();
  return names;
}

}  // namespace sluice::mgmt
