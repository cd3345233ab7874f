#include "tests/support/xml_checker.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include <fmt/format.h>

namespace bubblescope {
namespace {

class XmlChecker {
 public:
  explicit XmlChecker(std::string_view text) : text_(text) {}

  std::vector<XmlElement> run() {
    do {
      if (at_ < text_.size() && text_[at_] == '<')
        tag();
      else
        add_text();
    } while (!open_.empty());
    if (text_.substr(at_) != "" && text_.substr(at_) != "\n")
      fail("text after the root");
    return elements_;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error(fmt::format("{} at byte {}", what, at_));
  }

  bool skip(std::string_view expected) {
    if (!text_.substr(at_).starts_with(expected))
      return false;
    at_ += expected.size();
    return true;
  }
  void expect(std::string_view expected) {
    if (!skip(expected))
      fail(fmt::format("no '{}'", expected));
  }

  std::string name() {
    const std::size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '-'))
      ++at_;
    if (at_ == begin || !std::isalpha(static_cast<unsigned char>(text_[begin])))
      fail("no name");
    return std::string(text_.substr(begin, at_ - begin));
  }

  /// Up to `end`, which is not among it.
  std::string characters(char end) {
    std::string out;
    while (at_ < text_.size() && text_[at_] != end) {
      const auto c = static_cast<unsigned char>(text_[at_]);
      if (c == '<' || (c < 0x20 && c != '\n' && c != '\t'))
        fail("a character that may not stand here");
      out += c == '&' ? reference() : text_[at_++];
    }
    return out;
  }

  char reference() {
    ++at_;
    for (const auto& [word, character] :
         {std::pair("amp;", '&'), std::pair("lt;", '<'), std::pair("gt;", '>'),
          std::pair("quot;", '"'), std::pair("#39;", '\'')})
      if (skip(word))
        return character;
    fail("an unknown reference");
  }

  void add_text() {
    if (open_.empty())
      fail("text outside the root");
    elements_[open_.back()].text += characters('<');
    if (at_ == text_.size())
      fail("the end within '" + elements_[open_.back()].name + "'");
  }

  void tag() {
    if (skip("</")) {
      if (open_.empty() || name() != elements_[open_.back()].name)
        fail("the end of what is not open");
      open_.pop_back();
      expect(">");
      return;
    }
    expect("<");
    if (open_.empty() && !elements_.empty())
      fail("a second root");
    XmlElement element{.name = name(), .parent = open_.empty() ? 0 : open_.back()};
    while (skip(" ")) {
      const std::string key = name();
      expect("=\"");
      if (!element.attributes.emplace(key, characters('"')).second)
        fail("'" + key + "' twice");
      expect("\"");
    }
    const bool is_empty = skip("/");
    expect(">");
    if (!is_empty)
      open_.push_back(elements_.size());
    elements_.push_back(std::move(element));
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<XmlElement> elements_;
  std::vector<std::size_t> open_;
};

}  // namespace

std::vector<XmlElement> check_xml(std::string_view text) {
  return XmlChecker(text).run();
}

}  // namespace bubblescope
