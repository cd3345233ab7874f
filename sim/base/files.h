// Which files and folders exist. Where the file system does not answer (no permission, a loop of
// links, a name too long), each throws Error with the path.
#pragma once

#include <string>
#include <vector>

namespace bubblescope {

/// Whether anything has this path.
bool exists(const std::string& path);

/// Whether it is a folder; what does not exist is none.
bool is_folder(const std::string& path);

/// The paths of all that lies in a folder, sorted.
std::vector<std::string> paths_in(const std::string& folder);

}  // namespace bubblescope
