#include "dataplane/port/remote_port.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/port/memory_port.h"

namespace sluice {
namespace {

TEST(RemotePort, CarriesFramesToTheOwnerAndTakesNoMoreThanFits) {
  Buffers buffers{"remote_port_test", 15, 1, 0, -1};
  ASSERT_TRUE(buffers.ok());
  PortCaps caps;
  caps.multi_segment = true;
  caps.mtu = 1400;
  MemoryPort behind{caps, buffers};
  {
    RemotePort remote{behind, 4};
    EXPECT_EQ(remote.caps().mtu, 1400);
    EXPECT_TRUE(remote.caps().multi_segment);
    std::array<rte_mbuf*, 6> frames;
    for (auto& frame : frames) frame = buffers.make().release();
    ASSERT_EQ(remote.transmit(0, frames, {}), 4);
    std::array<rte_mbuf*, 3> out;
    ASSERT_EQ(remote.take(out), 3u);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(out[i], frames[i]);
    for (rte_mbuf* frame : {frames[0], frames[1], frames[2], frames[4], frames[5]}) free_buffers(frame);
    std::array<rte_mbuf*, 1> in;
    EXPECT_EQ(remote.receive(0, in, {}), 0);
  }
  EXPECT_EQ(buffers.data_free(), 15u) << "what nobody took is freed with the ring";
}

}  // namespace
}  // namespace sluice
