// Sizes, ages and names as `graft` reads and prints them.
#include "quantities.h"

#include <gtest/gtest.h>

#include "graft/error.h"
#include "near_names.h"

namespace graft {
namespace {

using std::chrono::seconds;

TEST(Quantities, ReadSizesByDecimalAndBinaryUnits) {
  EXPECT_EQ(parse_size("10GB"), 10'000'000'000u);
  EXPECT_EQ(parse_size("10 gb"), 10'000'000'000u);
  EXPECT_EQ(parse_size("1.5MiB"), 1'572'864u);
  EXPECT_EQ(parse_size("0B"), 0u);
  EXPECT_EQ(parse_size("2TiB"), 2'199'023'255'552u);
  for (const char* text : {"", "10", "GB", "10G", "10Gi", "-1GB", "1e3GB", "10GB ", " 10GB", "10  GB",
                           "1,5GB", "0x10B", "nanB", "infGB", "99999999999TB"})
    EXPECT_THROW(parse_size(text), Error) << text;
}

TEST(Quantities, ReadAges) {
  EXPECT_EQ(parse_age("30d"), seconds(30 * 86400));
  EXPECT_EQ(parse_age("2w"), seconds(14 * 86400));
  EXPECT_EQ(parse_age("1.5h"), seconds(5400));
  EXPECT_EQ(parse_age("0s"), seconds(0));
  for (const char* text : {"", "30", "d", "1m", "1month", "-1d", "1d2h", "99999999999w"})
    EXPECT_THROW(parse_age(text), Error) << text;
}

TEST(Quantities, PrintBytes) {
  EXPECT_EQ(in_bytes(0), "0 B");
  EXPECT_EQ(in_bytes(999), "999 B");
  EXPECT_EQ(in_bytes(1'000), "1.0 kB");
  EXPECT_EQ(in_bytes(999'499), "999 kB");
  EXPECT_EQ(in_bytes(999'999), "1.0 MB");
  EXPECT_EQ(in_bytes(1'234'567'890), "1.2 GB");
  EXPECT_EQ(in_bytes(9'960'000), "10 MB");
  EXPECT_EQ(in_bytes(5'000'000'000'000), "5.0 TB");
}

TEST(Quantities, PrintTimes) {
  const auto now = std::chrono::system_clock::from_time_t(1'700'000'000);
  EXPECT_EQ(how_long_ago(now, now), "just now");
  EXPECT_EQ(how_long_ago(now + seconds(100), now), "just now");
  EXPECT_EQ(how_long_ago(now - seconds(60), now), "1 minute ago");
  EXPECT_EQ(how_long_ago(now - std::chrono::hours(49), now), "2 days ago");
  EXPECT_EQ(how_long_ago(now - std::chrono::hours(24 * 800), now), "2 years ago");
  EXPECT_EQ(iso_time(now), "2023-11-14T22:13:20Z");
}

TEST(NearNames, NameWhatMayHaveBeenMeant) {
  EXPECT_EQ(near_names("org/nrom", {"org/norm", "org/rope"}), "did you mean org/norm?");
  EXPECT_EQ(near_names("other/norm", {"org/norm", "org/rope"}), "did you mean org/norm?");
  EXPECT_EQ(near_names("x/something-else", {"org/norm", "org/rope"}), "there are: org/norm, org/rope");
  EXPECT_EQ(near_names("x/y", {}), "");
}

}  // namespace
}  // namespace graft
