// Whether a text is well-formed XML, of the part of it that SVG pictures need.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

struct XmlElement {
  std::string name;
  std::map<std::string, std::string> attributes = {};  ///< References resolved.
  std::string text = {};                               ///< Its own, references resolved.
  std::size_t parent = 0;                              ///< Its index; of the first, its own.
};

/// All elements in the order in which they begin. Throws std::runtime_error, with what is wrong
/// where, for what is not well-formed, and for what pictures do without: comments, CDATA,
/// processing instructions, entities but the five and decimal references.
std::vector<XmlElement> check_xml(std::string_view text);

}  // namespace bubblescope
