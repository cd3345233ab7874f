#include "analysis/sweep_picture.h"
namespace bubblescope {
std::string sweep_picture(const Sweep& sweep) {
  return sweep.setting;
}
}  // namespace bubblescope
