// Each kind of virtual port, as the proof asks: a frame of three segments, and one with a shared buffer, leave it
// byte-exact through TxQueue. Kernel ports live in a network namespace of the test's own; what leaves them is read by a
// packet socket. Needs root.
#include "dataplane/port/device.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "dataplane/packet/chain.h"
#include "dataplane/packet/tx_queue.h"

namespace sluice {
namespace {

using Frame = std::vector<std::uint8_t>;

// A network namespace around a scope, for this thread.
class Namespace {
 public:
  Namespace() : old_(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) { ok_ = unshare(CLONE_NEWNET) == 0; }
  ~Namespace() {
    EXPECT_EQ(setns(old_, CLONE_NEWNET), 0);
    close(old_);
  }
  bool ok() const { return ok_; }

 private:
  int old_;
  bool ok_;
};

bool shell(const std::string& command) { return std::system(command.c_str()) == 0; }

// Reads frames of the EtherType that the tests use from an interface.
class PacketSocket {
 public:
  explicit PacketSocket(const char* interface) : fd_(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(interface));
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~PacketSocket() { close(fd_); }
  Frame next() {
    for (;;) {
      pollfd poll_fd{fd_, POLLIN, 0};
      if (poll(&poll_fd, 1, 10'000) != 1) return {};
      Frame frame(4096);
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t n = recvfrom(fd_, frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n < 14 || from.sll_pkttype == PACKET_OUTGOING || frame[12] != 0x88 || frame[13] != 0xb5) continue;
      frame.resize(static_cast<std::size_t>(n));
      return frame;
    }
  }
  bool send(const Frame& frame) { return write(fd_, frame.data(), frame.size()) == static_cast<ssize_t>(frame.size()); }

 private:
  int fd_;
};

struct DeviceTest : testing::Test {
  // AF_XDP makes the whole pool its own and wants replacements before it receives.
  Buffers buffers{"device_test", 16383, 1023, 0, -1};
  Counters counters;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }

  std::unique_ptr<Device> open(const std::string& device, std::uint16_t queues = 1) {
    auto opened = open_device({.name = "test", .device = device, .queues = queues}, buffers);
    EXPECT_TRUE(opened) << opened.error();
    return opened ? std::move(*opened) : nullptr;
  }
  // Ethernet header of the local experimental EtherType (RFC 5342), then bytes that differ at each place.
  static Frame content(std::size_t size, std::uint8_t salt) {
    Frame frame(size);
    for (std::size_t i = 0; i < size; ++i) frame[i] = static_cast<std::uint8_t>(i * 31 + salt + (i >> 8));
    for (int i = 0; i < 6; ++i) frame[i] = 0xff;
    frame[6] = 2;
    frame[12] = 0x88;
    frame[13] = 0xb5;
    return frame;
  }
  Packet part(ByteView in) {
    Packet packet = buffers.make();
    std::memcpy(rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(in.size())), in.data(), in.size());
    return packet;
  }
  Packet three_segments(const Frame& frame) {
    const ByteView all{frame};
    Packet head = part(all.first(60)), middle = part(all.subspan(60, 500)), tail = part(all.subspan(560));
    rte_pktmbuf_chain(middle.get(), tail.release());
    rte_pktmbuf_chain(head.get(), middle.release());
    return head;
  }
  // A header of its own, and payload that is a slice of a buffer which `keeper` still holds.
  Packet shared_buffer(const Frame& frame, Packet& keeper) {
    const ByteView all{frame};
    keeper = part(all.subspan(14));
    Packet head = part(all.first(14));
    Packet slice = buffers.slice(keeper.get(), 0, keeper.size());
    rte_pktmbuf_chain(head.get(), slice.release());
    return head;
  }
  // Sends both frames through the port and compares what `arrive` sees of them.
  void leaves_byte_exact(Device& device, const std::function<Frame()>& arrive) {
    TxQueue queue{device, 0, buffers, counters};
    for (int round = 0; round < 3; ++round) {  // buffers are used again: stale bytes would show
      const Frame three = content(1400 - round, static_cast<std::uint8_t>(round)), shared = content(900 + round, 77);
      queue.push(three_segments(three), {});
      queue.flush({});
      EXPECT_EQ(arrive(), three) << device.driver() << ": three segments, round " << round;
      Packet keeper;
      queue.push(shared_buffer(shared, keeper), {});
      queue.flush({});
      EXPECT_EQ(arrive(), shared) << device.driver() << ": shared buffer, round " << round;
      EXPECT_TRUE(std::equal(shared.begin() + 14, shared.end(), keeper.bytes().begin()))
          << "the keeper's bytes changed";
    }
  }
  // The next test frame that a device receives within ten seconds.
  static Frame next(Device& device, std::uint16_t queue = 0) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < deadline) {
      std::array<rte_mbuf*, 1> in;
      if (device.receive(queue, in, {}) == 0) {
        std::this_thread::sleep_for(std::chrono::microseconds{100});
        continue;
      }
      const Packet packet{in[0]};
      Frame frame;
      for (const rte_mbuf* segment = packet.get(); segment; segment = segment->next) {
        const auto* data = rte_pktmbuf_mtod(segment, const std::uint8_t*);
        frame.insert(frame.end(), data, data + segment->data_len);
      }
      if (frame.size() > 14 && frame[12] == 0x88 && frame[13] == 0xb5) return frame;
    }
    return {};
  }
};

TEST_F(DeviceTest, AfPacketOverVeth) {
  Namespace own;
  ASSERT_TRUE(own.ok() &&
              shell("ip link add sl0 mtu 1450 type veth peer name sl1 && ip link set sl0 up && ip link set sl1 up"));
  auto device = open("net_af_packet0,iface=sl0");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->driver(), "net_af_packet");
  EXPECT_EQ(device->caps().mtu, 1450) << "the kernel's, as nothing else was asked for";
  EXPECT_FALSE(device->caps().multi_segment);
  EXPECT_FALSE(device->caps().rss);
  PacketSocket peer{"sl1"};
  leaves_byte_exact(*device, [&] { return peer.next(); });
  const Frame in = content(1000, 5);
  ASSERT_TRUE(peer.send(in));
  EXPECT_EQ(next(*device), in);
}

TEST_F(DeviceTest, AfXdpOverVeth) {
  Namespace own;
  ASSERT_TRUE(own.ok() && shell("ip link add sl0 type veth peer name sl1 && ip link set sl0 up && ip link set sl1 up"));
  auto device = open("net_af_xdp0,iface=sl0", 2);
  ASSERT_TRUE(device);
  EXPECT_EQ(device->driver(), "net_af_xdp");
  EXPECT_EQ(device->caps().queues, 1) << "two were wanted, the device has one";
  EXPECT_FALSE(device->caps().multi_segment);
  EXPECT_FALSE(device->caps().shared_buffers);
  EXPECT_EQ(device->caps().mtu, 1500);
  PacketSocket peer{"sl1"};
  leaves_byte_exact(*device, [&] { return peer.next(); });
  const Frame in = content(1000, 5);
  ASSERT_TRUE(peer.send(in));
  EXPECT_EQ(next(*device), in);
  EXPECT_GE(device->stats().rx_packets, 1u);
  EXPECT_GE(device->stats().tx_packets, 6u);
}

TEST_F(DeviceTest, Tap) {
  Namespace own;
  ASSERT_TRUE(own.ok());
  auto device = open("net_tap0,iface=sltap0");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->driver(), "net_tap");
  ASSERT_TRUE(shell("ip link set sltap0 up"));
  PacketSocket kernel{"sltap0"};
  leaves_byte_exact(*device, [&] { return kernel.next(); });
  const Frame in = content(1000, 5);
  ASSERT_TRUE(kernel.send(in));
  EXPECT_EQ(next(*device), in);
  EXPECT_TRUE(device->link_up());
}

TEST_F(DeviceTest, MemifToMemif) {
  const std::string path = "/tmp/sluice-device-test-" + std::to_string(getpid()) + ".sock";
  auto server = open("net_memif0,role=server,id=0,socket-abstract=no,socket=" + path);
  auto client = open("net_memif1,role=client,id=0,socket-abstract=no,socket=" + path);
  ASSERT_TRUE(server && client);
  for (int i = 0; i < 500 && !(server->link_up() && client->link_up()); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  ASSERT_TRUE(server->link_up() && client->link_up());
  // The receiver's first call hands out the ring's empty buffers: until then there is nothing to transmit into.
  std::array<rte_mbuf*, 1> none;
  EXPECT_EQ(client->receive(0, none, {}), 0);
  EXPECT_EQ(server->receive(0, none, {}), 0);
  leaves_byte_exact(*client, [&] { return next(*server); });
  leaves_byte_exact(*server, [&] { return next(*client); });
}

TEST_F(DeviceTest, RingToItself) {
  auto device = open("net_ring0");
  ASSERT_TRUE(device);
  EXPECT_EQ(device->driver(), "net_ring");
  EXPECT_FALSE(device->caps().shared_buffers);
  leaves_byte_exact(*device, [&] { return next(*device); });
}

TEST_F(DeviceTest, PcapFile) {
  const auto base = "/tmp/sluice-device-test-" + std::to_string(getpid());
  const std::string in = base + "-in.pcap", out = base + "-out.pcap";
  {
    // An empty capture to read: the header of a pcap file (little endian, Ethernet), written by hand.
    const std::array<std::uint32_t, 6> header{0xa1b2c3d4, 0x00040002, 0, 0, 65535, 1};
    std::ofstream(in, std::ios::binary).write(reinterpret_cast<const char*>(header.data()), sizeof header);
    auto device = open("net_pcap0,rx_pcap=" + in + ",tx_pcap=" + out);
    ASSERT_TRUE(device);
    std::size_t read = 24;
    leaves_byte_exact(*device, [&] {
      std::ifstream file(out, std::ios::binary);
      file.seekg(static_cast<std::streamoff>(read));
      std::uint32_t record[4] = {};
      if (!file.read(reinterpret_cast<char*>(record), sizeof record)) return Frame{};
      Frame frame(record[2]);
      file.read(reinterpret_cast<char*>(frame.data()), record[2]);
      read += sizeof record + record[2];
      return frame;
    });
  }
  std::filesystem::remove(in);
  std::filesystem::remove(out);
}

TEST_F(DeviceTest, NullTakesEverything) {
  auto device = open("net_null0");
  ASSERT_TRUE(device);
  TxQueue queue{*device, 0, buffers, counters};
  queue.push(three_segments(content(1400, 1)), {});
  queue.flush({});
  EXPECT_EQ(queue.pending(), 0u);
}

TEST_F(DeviceTest, ErrorsNameThePortAndLeaveNothingBehind) {
  auto failed = open_device({.name = "uplink", .device = "net_af_packet0,iface=nowhere"}, buffers);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().substr(0, 13), "port uplink: ") << failed.error();
  EXPECT_EQ(failed.error().find('\n'), std::string::npos);
  EXPECT_FALSE(open_device({.name = "uplink", .device = "net_nonsense0"}, buffers));
  auto tall = open_device({.name = "uplink", .device = "net_null0", .mtu = 9000}, buffers);
  ASSERT_FALSE(tall);
  EXPECT_NE(tall.error().find("9000"), std::string::npos) << tall.error();
  auto device = open("net_null0");
  ASSERT_TRUE(device) << "the failed one is gone";
  auto twice = open_device({.name = "second", .device = "net_null0"}, buffers);
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().find("belongs to another port"), std::string::npos) << twice.error();
  device.reset();
  EXPECT_TRUE(open("net_null0")) << "closed and opened again while EAL runs";
}

}  // namespace
}  // namespace sluice
