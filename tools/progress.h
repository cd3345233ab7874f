#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace bubblescope {

/// A line on stderr, kept up to date, for work that takes more than a second; only on a terminal,
/// and never after `quiet`.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// What is being done now: "zb-h2: building the graph".
  void now(std::string what);

 private:
  void show(const std::stop_token& stop);

  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::string what_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace bubblescope
