#include "sim/base/json_text.h"

#include <nlohmann/json.hpp>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

template <typename Json>
std::string dump(const Json& json, int indent) {
  const auto text = [&](bool ascii) {
    return json.dump(indent, ' ', ascii, Json::error_handler_t::replace);
  };
  std::string plain = text(false);  // where nlohmann leaves DEL and U+0080 … U+009F as they are
  return has_unprintable(plain) ? text(true) : plain;
}

}  // namespace

std::string dump_json(const nlohmann::json& json, int indent) {
  return dump(json, indent);
}

std::string dump_json(const nlohmann::ordered_json& json, int indent) {
  return dump(json, indent);
}

}  // namespace bubblescope
