// The Boost.Graph type behind DependencyGraph. Include it where an algorithm of Boost's is needed
// and nowhere else: it costs two seconds of compile time.
#pragma once

#include <cstdint>

#include <boost/graph/compressed_sparse_row_graph.hpp>

namespace bubblescope {

/// An edge runs from a node to one that it depends on.
struct BoostGraph {
  using Csr =
      boost::compressed_sparse_row_graph<boost::directedS, boost::no_property, boost::no_property,
                                         boost::no_property, std::uint32_t, std::uint32_t>;
  Csr csr;
};

}  // namespace bubblescope
