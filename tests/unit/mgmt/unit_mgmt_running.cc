#include "tests/unit/mgmt/running.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  sluice::mgmt::test::running();
  return RUN_ALL_TESTS();
}
