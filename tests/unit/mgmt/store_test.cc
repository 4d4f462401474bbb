#include "mgmt/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

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

TEST_F(StoreTest, FilesAndFolderAreForTheirOwnerAlone) {
  Store store = open();
  spec::Policy policy = secret_policy();
  ASSERT_TRUE(store.save(policy, 1));
  ASSERT_TRUE(store.save(policy, 2));
  const spec::EndpointDelta delta{{{"a", "a1", "10.0.0.1:8080", 3}}, {}};
  apply_delta(delta, policy.endpoints);
  ASSERT_TRUE(store.append(delta, policy, 3));
  struct stat info;
  ASSERT_EQ(stat(folder.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  for (const char* name : {"node.key", "policy.sluice", "policy.sluice.previous", "endpoints.journal"}) {
    ASSERT_EQ(stat((folder / name).c_str(), &info), 0) << name;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST_F(StoreTest, ADamagedPolicyTakesNobodysPlace) {
  {
    Store store = open();
    ASSERT_TRUE(store.save(secret_policy(), 1));
    ASSERT_TRUE(store.save(secret_policy(), 2));
    const spec::EndpointDelta delta{{{"a", "a1", "10.0.0.1:8080", 3}}, {}};
    ASSERT_TRUE(store.append(delta, secret_policy(), 3));
  }
  put("policy.sluice", sluice::bytes("torn"));
  Store store = open();
  EXPECT_EQ(store.load().value()->generation, 1u) << "the journal followed the damaged one";
  ASSERT_TRUE(store.save(secret_policy(), 2));
  put("policy.sluice", sluice::bytes("torn again"));
  EXPECT_EQ(open().load().value()->generation, 1u) << "not the torn one";
}

// A process that saves and appends as fast as it can is killed again and again: what the next one loads is whole, and
// no older than what had been promised.
TEST_F(StoreTest, KilledInTheMiddleOfSavesTheLastPromiseIsKept) {
  spec::Policy policy = secret_policy();
  std::uint64_t generation = 0;
  for (int round = 0; round < 25; ++round) {
    int promise[2];
    ASSERT_EQ(pipe(promise), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = Store::open(folder);
      if (!store) _exit(1);
      const auto loaded = store->load();
      if (!loaded) _exit(2);
      for (std::uint64_t next = generation + 1;; ++next) {
        // The weight tells which generation it is.
        const spec::EndpointDelta delta{{{"a", "a1", "10.0.0.1:8080", static_cast<std::uint32_t>(next)}}, {}};
        apply_delta(delta, policy.endpoints);
        if (!(next % 3 == 0 ? store->save(policy, next) : store->append(delta, policy, next))) _exit(3);
        if (write(promise[1], &next, sizeof next) != sizeof next) _exit(4);
      }
    }
    close(promise[1]);
    std::uint64_t promised = generation, last = 0;
    for (int i = 0; i < 1 + round % 5; ++i)
      if (read(promise[0], &last, sizeof last) == sizeof last) promised = last;
    std::this_thread::sleep_for(std::chrono::microseconds{round * 331 % 4000});
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << WEXITSTATUS(status);
    while (read(promise[0], &last, sizeof last) == sizeof last) promised = last;
    close(promise[0]);
    const auto loaded = open().load();
    ASSERT_TRUE(loaded) << loaded.error();
    ASSERT_TRUE(*loaded);
    EXPECT_GE((*loaded)->generation, promised);
    EXPECT_EQ((*loaded)->policy.endpoints[0].weight, (*loaded)->generation);
    EXPECT_EQ((*loaded)->policy.certificates[0].key_pem, "THE-PRIVATE-KEY");
    generation = (*loaded)->generation;
    policy = (*loaded)->policy;
  }
}

// On a disk of 256 KiB: what does not fit is told, what was there stays, and it goes on when there is room again.
TEST_F(StoreTest, AFullDiskIsToldAndKeepsTheLastGoodPolicy) {
  const std::filesystem::path disk = folder.parent_path() / "disk";
  std::filesystem::create_directory(disk);
  ASSERT_EQ(mount("sluice-test", disk.c_str(), "tmpfs", 0, "size=256k"), 0) << "needs root";
  {
    Store store = Store::open(disk / "state").value();
    spec::Policy policy = secret_policy();
    ASSERT_TRUE(store.save(policy, 1));
    const std::vector<std::uint8_t> filler(1 << 20, 'x');
    const std::filesystem::path full = disk / "filler";
    EXPECT_FALSE(write_all(File{::open(full.c_str(), O_WRONLY | O_CREAT, 0600)}, filler, full));
    const auto saved = store.save(policy, 2);
    ASSERT_FALSE(saved);
    EXPECT_THAT(saved.error(), testing::HasSubstr("No space left"));
    const spec::EndpointDelta delta{{{"a", "a1", "10.0.0.1:8080", 9}}, {}};
    apply_delta(delta, policy.endpoints);
    EXPECT_FALSE(store.append(delta, policy, 3));
    auto loaded = Store::open(disk / "state").value().load();
    ASSERT_TRUE(loaded) << loaded.error();
    EXPECT_EQ((*loaded)->generation, 1u);
    std::filesystem::remove(full);
    EXPECT_TRUE(store.append(delta, policy, 3)) << "room again";
    loaded = Store::open(disk / "state").value().load();
    ASSERT_TRUE(loaded) << loaded.error();
    EXPECT_EQ((*loaded)->generation, 3u);
    EXPECT_EQ((*loaded)->policy, policy);
  }
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace sluice::mgmt
