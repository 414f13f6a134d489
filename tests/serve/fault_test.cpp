// What the server does wrong on purpose.
#include <chrono>

#include "serve_fixture.h"

namespace graft::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

const std::string kReadme = "/kernels/org/norm/resolve/main/README.md";
const std::string kSo = "/kernels/org/norm/resolve/main/build/v/norm.so";

class ServeFaultTest : public ServeTest {
 protected:
  HubServer& with(const std::vector<std::string>& faults) {
    server().set_faults(parse_faults(faults));
    return server();
  }
};

TEST_F(ServeFaultTest, ServesWellWithout) {
  with({});
  EXPECT_EQ(get(kReadme).body, kText);
}

TEST_F(ServeFaultTest, TakesFaultsFromItsOptions) {
  serve({.faults = parse_faults({"status=503:1"})});
  EXPECT_EQ(get(kReadme).status, 503);
  EXPECT_EQ(get(kReadme).status, 200);
}

TEST_F(ServeFaultTest, AnswersLate) {
  with({"latency=200"});
  auto begin = steady_clock::now();
  EXPECT_EQ(get("/api/kernels/org/norm").status, 200);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(200));
}

TEST_F(ServeFaultTest, RefusesTheFirstRequestsOfAnyKind) {
  with({"status=429:3", "retry-after=7"});
  Answer busy = get("/api/kernels/org/norm/refs");
  EXPECT_EQ(busy.status, 429);
  EXPECT_EQ(busy.header("Retry-After"), "7");
  EXPECT_EQ(get(kReadme).status, 429);
  EXPECT_EQ(head(kReadme).status, 429);
  EXPECT_EQ(get(kReadme).status, 200);
  EXPECT_EQ(server().counters().resolve, 3u);
}

TEST_F(ServeFaultTest, RefusesTheCdnsRequestsToo) {
  std::string target = target_of(get(kSo).header("Location"));
  with({"status=500:1"});
  EXPECT_EQ(request(server().cdn(), target).status, 500);
  EXPECT_EQ(request(server().cdn(), target).status, 200);
}

TEST_F(ServeFaultTest, CutsABodyAndCloses) {
  with({"cut=4:1"});
  Answer cut = get(kReadme);
  EXPECT_FALSE(cut.complete);
  EXPECT_EQ(cut.body, "norm");
  EXPECT_EQ(cut.header("Content-Length"), std::to_string(kText.size()));
  EXPECT_EQ(get(kReadme).body, kText);
}

TEST_F(ServeFaultTest, CutsABodyAtTheCdn) {
  with({"cut=3:1"});
  Answer cut = get_from_cdn(kSo);
  EXPECT_FALSE(cut.complete);
  EXPECT_EQ(cut.body, "012");
  EXPECT_EQ(get_from_cdn(kSo, {{"Range", "bytes=3-"}}).body, "3456789");
}

TEST_F(ServeFaultTest, FlipsOneByte) {
  with({"wrong-bytes"});
  Answer wrong = get_from_cdn(kSo);
  EXPECT_TRUE(wrong.complete);
  ASSERT_EQ(wrong.body.size(), kLibrary.size());
  std::string right = wrong.body;
  right[5] = '5';
  EXPECT_NE(wrong.body, kLibrary);
  EXPECT_EQ(right, kLibrary);
}

TEST_F(ServeFaultTest, SendsLessThanListed) {
  with({"wrong-length"});
  Answer redirect = get(kSo);
  EXPECT_EQ(redirect.header("X-Linked-Size"), "10");
  Answer half = get_from_cdn(kSo);
  EXPECT_TRUE(half.complete);
  EXPECT_EQ(half.header("Content-Length"), "5");
  EXPECT_EQ(half.body, "01234");
}

TEST_F(ServeFaultTest, SendsMoreThanListed) {
  with({"longer=3"});
  Answer more = get_from_cdn(kSo);
  EXPECT_TRUE(more.complete);
  EXPECT_EQ(more.header("Content-Length"), "13");
  EXPECT_EQ(more.body, "0123456789xxx");
  EXPECT_EQ(get_from_cdn(kSo, {{"Range", "bytes=9-"}}).body, "9xxx");
}

TEST_F(ServeFaultTest, RedirectsInCircles) {
  with({"redirect-loop"});
  Answer loop = get(kReadme);
  EXPECT_EQ(loop.status, 302);
  EXPECT_EQ(loop.header("Location"), server().endpoint() + kReadme);
}

TEST_F(ServeFaultTest, IgnoresRanges) {
  with({"no-ranges"});
  Answer whole = get(kReadme, {{"Range", "bytes=5-"}});
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.body, kText);
}

TEST_F(ServeFaultTest, StopsHalfWay) {
  with({"stall=300"});
  auto begin = steady_clock::now();
  Answer slow = get_from_cdn(kSo);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(300));
  EXPECT_EQ(slow.body, kLibrary);
}

TEST_F(ServeFaultTest, HitsAsOftenAsSaid) {
  with({"no-ranges:2"});
  for (int status : {200, 200, 206}) EXPECT_EQ(get(kReadme, {{"Range", "bytes=5-"}}).status, status);
}

TEST(ParseFaults, ReadsNameValueAndTimes) {
  Faults faults = parse_faults({"cut=100:2", "longer", "stall=50"});
  EXPECT_EQ(faults.cut->value, 100u);
  EXPECT_EQ(faults.cut->times, 2);
  EXPECT_EQ(faults.longer->value, 1u);
  EXPECT_EQ(faults.stall->times, Fault::kAlways);
  EXPECT_FALSE(faults.latency);
}

TEST(ParseFaults, ListsWhatThereIsWhenAWordIsWrong) {
  for (std::string word :
       {"", "slow", "latency", "latency=", "latency=x", "latency=-1", "latency=0", "status=200",
        "status=429:0", "status=429:x", "cut=1:2:3", "no-ranges=1", "=3", "cut=99999999999999999999"}) {
    try {
      parse_faults({word});
      ADD_FAILURE() << word << " was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument) << word;
      EXPECT_NE(e.mend().find("retry-after"), std::string::npos) << word;
    }
  }
}

}  // namespace
}  // namespace graft::test
