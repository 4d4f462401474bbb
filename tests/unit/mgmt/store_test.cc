#include "mgmt/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "mgmt/file.h"
#include "tests/unit/mgmt/sample.h"

namespace sluice::mgmt {
namespace {

class StoreTest : public testing::Test {
 protected:
  StoreTest() {
    std::string name = testing::TempDir() + "sluice-store-XXXXXX";
    CHECK(mkdtemp(name.data()));
    folder = name + "/state";
  }
  ~StoreTest() override { std::filesystem::remove_all(folder.parent_path()); }

  Store open() {
    auto store = Store::open(folder);
    EXPECT_TRUE(store) << store.error();
    return std::move(*store);
  }
  std::vector<std::uint8_t> bytes(const char* name) { return read_file(folder / name, 1 << 26).value(); }
  // As a crash or a bad disk would leave it; no flush, which would cost most of the test's time.
  void put(const char* name, ByteView bytes) {
    std::filesystem::remove(folder / name);  // to cut it short instead would flush, too, on ext4
    const File file{::open((folder / name).c_str(), O_WRONLY | O_CREAT, 0600)};
    ASSERT_TRUE(write_all(file, bytes, folder / name));
  }
  static spec::Policy secret_policy() {
    spec::Policy policy = test::sample();
    policy.certificates.push_back({"c", "CHAIN-IN-CLEAR", "THE-PRIVATE-KEY", {}});
    return policy;
  }
  std::filesystem::path folder;
};

TEST_F(StoreTest, AFirstStartHasNoPolicyAndMakesAKeyOfItsOwn) {
  Store store = open();
  EXPECT_FALSE(store.load().value());
  struct stat info;
  ASSERT_EQ(stat((folder / "node.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(info.st_size, 32);
}

TEST_F(StoreTest, KeepsPolicyAndDeltasAndSealsPrivateKeys) {
  spec::Policy policy = secret_policy();
  {
    Store store = open();
    ASSERT_TRUE(store.save(policy, 7));
    const spec::EndpointDelta delta{{{"a", "a3", "10.0.0.3:1", 5}, {"a", "a1", "10.0.0.1:8080", 0}}, {{"a", "a2"}}};
    apply_delta(delta, policy.endpoints);
    ASSERT_TRUE(store.append(delta, policy, 8));
  }
  const auto loaded = open().load().value();
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->generation, 8u);
  EXPECT_EQ(loaded->policy, policy);
  const auto file = bytes("policy.sluice");
  EXPECT_NE(text(file).find("CHAIN-IN-CLEAR"), std::string_view::npos);
  EXPECT_EQ(text(file).find("THE-PRIVATE-KEY"), std::string_view::npos);
}

TEST_F(StoreTest, ATornJournalLosesItsTailOnly) {
  spec::Policy policy = test::sample();
  {
    Store store = open();
    ASSERT_TRUE(store.save(policy, 1));
    for (std::uint32_t weight = 2; weight < 5; ++weight) {
      const spec::EndpointDelta delta{{{"a", "a1", "10.0.0.1:8080", weight}}, {}};
      apply_delta(delta, policy.endpoints);
      ASSERT_TRUE(store.append(delta, policy, weight));
    }
  }
  const auto whole = bytes("endpoints.journal");
  ASSERT_EQ(whole.size() % 3, 0u);
  const std::size_t record = whole.size() / 3;
  for (std::size_t n = 0; n <= whole.size(); ++n) {
    put("endpoints.journal", ByteView{whole}.first(n));
    const auto loaded = open().load().value();
    ASSERT_EQ(loaded->generation, 1 + n / record) << n;
    ASSERT_EQ(loaded->policy.endpoints[0].weight, 1 + n / record) << n;
    ASSERT_EQ(loaded->warnings.empty(), n % record == 0) << n;
  }
}

TEST_F(StoreTest, ADamagedPolicyGivesWayToTheOneBefore) {
  Store store = open();
  ASSERT_TRUE(store.save(secret_policy(), 1));
  ASSERT_TRUE(store.save(secret_policy(), 2));
  const auto whole = bytes("policy.sluice");
  for (std::size_t n : {std::size_t{0}, std::size_t{10}, whole.size() / 2, whole.size() - 1}) {
    put("policy.sluice", ByteView{whole}.first(n));
    const auto loaded = open().load().value();
    EXPECT_EQ(loaded->generation, 1u);
    EXPECT_EQ(loaded->policy, secret_policy());
    EXPECT_THAT(loaded->warnings, testing::ElementsAre(testing::HasSubstr("policy.sluice")));
  }
  for (std::size_t at = 0; at < whole.size(); at += 13) {
    auto flipped = whole;
    flipped[at] ^= 1;
    put("policy.sluice", flipped);
    ASSERT_EQ(open().load().value()->generation, 1u) << at;
  }
  std::filesystem::remove(folder / "policy.sluice.previous");
  put("policy.sluice", ByteView{whole}.first(5));
  EXPECT_THAT(open().load().error(), testing::HasSubstr("is not a stored policy"));
}

TEST_F(StoreTest, AnotherNodesKeyIsToldFromDamage) {
  ASSERT_TRUE(open().save(secret_policy(), 1));
  const std::vector<std::uint8_t> other(32, 9);
  put("node.key", other);
  EXPECT_THAT(open().load().error(), testing::HasSubstr("was not sealed with this node's key"));
  std::filesystem::remove(folder / "node.key");
  EXPECT_THAT(Store::open(folder).error(), testing::HasSubstr("node.key is missing"));
  put("node.key", other);
  chmod((folder / "node.key").c_str(), 0644);
  EXPECT_THAT(Store::open(folder).error(), testing::HasSubstr("may be read by others"));
}

TEST(ReplaceFile, AFullDiskIsToldAndLeavesTheOldFile) {
  EXPECT_THAT(write_all(File{::open("/dev/full", O_WRONLY)}, bytes("x"), "/dev/full").error(),
              testing::HasSubstr("No space left"));
}

}  // namespace
}  // namespace sluice::mgmt
