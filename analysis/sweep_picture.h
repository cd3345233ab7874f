#pragma once
#include <string>

#include "analysis/sweep.h"
namespace bubblescope {
std::string sweep_picture(const Sweep& sweep);
}
