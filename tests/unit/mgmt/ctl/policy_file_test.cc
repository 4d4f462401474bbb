#include "mgmt/ctl/policy_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "mgmt/schema/policy_generated.h"

namespace sluice::ctl {
namespace {

class PolicyFile : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) {
    std::ofstream{folder_ + "/" + name, std::ios::binary} << text;
  }
  std::expected<Bytes, std::string> parse(const std::string& json) { return parse_policy(json, "p.json", folder_); }

  const std::string folder_ = testing::TempDir() + "policy_file_test";
};

TEST_F(PolicyFile, JsonBecomesAPolicyBuffer) {
  const auto policy =
      parse(R"({"listeners": [{"name": "web", "port": 80}], "clusters": [{"name": "a", "balance": "random"}]})");
  ASSERT_TRUE(policy) << policy.error();
  flatbuffers::Verifier verifier{policy->data(), policy->size()};
  ASSERT_TRUE(fb::VerifyPolicyBuffer(verifier));
  const fb::Policy* p = fb::GetPolicy(policy->data());
  EXPECT_EQ(p->listeners()->Get(0)->name()->str(), "web");
  EXPECT_EQ(p->listeners()->Get(0)->port(), 80);
  EXPECT_EQ(p->clusters()->Get(0)->balance(), fb::Balance::random);
}

TEST_F(PolicyFile, FilesStandForTheirText) {
  put("c.pem", "-----BEGIN \"X\"\\\n\tüber\n");
  const auto policy =
      parse("{certificates: [ // one\n {\"chain_pem\" : \"@c.pem\", 'key_pem': '@c.pem', \"name\": \"@c.pem\"}]}");
  ASSERT_TRUE(policy) << policy.error();
  const fb::Certificate* c = fb::GetPolicy(policy->data())->certificates()->Get(0);
  EXPECT_EQ(c->chain_pem()->str(), "-----BEGIN \"X\"\\\n\tüber\n");
  EXPECT_EQ(c->key_pem()->str(), c->chain_pem()->str());
  EXPECT_EQ(c->name()->str(), "@c.pem");  // only the two fields for PEM text
}

TEST_F(PolicyFile, ErrorsNameTheLine) {
  const auto missing = parse("{\"certificates\": [\n {\"key_pem\": \"@none.pem\"}]}");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error(), "p.json:2: " + folder_ + "/none.pem: No such file or directory");
  const auto unknown = parse("{\n \"listners\": []}");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().find("p.json:2"), std::string::npos) << unknown.error();
  EXPECT_NE(unknown.error().find("listners"), std::string::npos) << unknown.error();
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("{\"listeners\": ["));
  EXPECT_FALSE(parse("/* never ends"));
  EXPECT_FALSE(parse("{\"certificates\": [{\"key_pem\": \"@"));
}

TEST_F(PolicyFile, ABufferIsTakenAsItIs) {
  const auto policy = parse(R"({"clusters": [{"name": "a"}]})");
  ASSERT_TRUE(policy);
  put("p.slpolicy", {policy->begin(), policy->end()});
  const auto read = read_policy(folder_ + "/p.slpolicy");
  ASSERT_TRUE(read) << read.error();
  EXPECT_EQ(*read, *policy);
}

TEST_F(PolicyFile, JsonOfABufferIsThatBufferAgain) {
  const auto policy =
      parse(R"({"listeners": [{"name": "a \"b\" \\ c", "addresses": ["::1"], "port": 8080, "last_port": 8090}]})");
  ASSERT_TRUE(policy);
  const auto again = parse(policy_json(*policy));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(policy_json(*again), policy_json(*policy));
}

TEST_F(PolicyFile, TablesOfTheProtocolBecomeJson) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(fb::CreateCluster(builder, builder.CreateString("a")));
  const std::string text = table_json(flatbuffers::GetRoot<fb::Cluster>(builder.GetBufferPointer()), "Cluster", false);
  EXPECT_NE(text.find("\"name\": \"a\""), std::string::npos) << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

}  // namespace
}  // namespace sluice::ctl
