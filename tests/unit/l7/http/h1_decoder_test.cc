#include "l7/http/h1_decoder.h"

#include <gtest/gtest.h>

#include "dataplane/base/rng.h"
#include "tests/support/http_transcript.h"

namespace sluice::http {
namespace {

using test::Transcript;

struct H1DecoderTest : testing::Test {
  Buffers buffers{"h1_decoder_test", 4096, 4096, 0, -1};
  HeadBuffers heads{8, 2};
  Limits limits;
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override {
    EXPECT_EQ(buffers.data_free(), 4096u) << "a buffer is lost";
    EXPECT_EQ(buffers.slices_free(), 4096u) << "a descriptor is lost";
    EXPECT_EQ(heads.small_free(), 8u);
    EXPECT_EQ(heads.large_free(), 2u);
  }

  template <typename Cut>
  std::string cut(std::string_view input, Role role, Method answers, Cut&& size, bool fin) {
    Transcript transcript{role, limits, buffers, heads};
    transcript.expect_response_to(answers);
    while (!input.empty()) {
      const std::size_t n = std::min<std::size_t>(input.size(), size());
      transcript.read(input.substr(0, n));
      input.remove_prefix(n);
    }
    if (fin) transcript.finish();
    return transcript.text();
  }
  // The transcript, which must be the same for any cut of the input.
  std::string read(std::string_view input, Role role = Role::server, bool fin = false, Method answers = Method::get) {
    const std::string whole = cut(input, role, answers, [] { return std::size_t{1} << 30; }, fin);
    const unsigned scale = input.size() < 3000 ? 1 : 40;  // each piece takes a buffer
    EXPECT_EQ(cut(input, role, answers, [&] { return scale; }, fin), whole) << "byte by byte: " << input.substr(0, 400);
    Rng rng{input.size()};
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(cut(
                    input, role, answers, [&] { return scale + rng.below((i < 10 ? 40 : 7) * scale); }, fin),
                whole)
          << "random cuts: " << input.substr(0, 400);
    return whole;
  }
  std::string respond(std::string_view input, bool fin = false, Method answers = Method::get) {
    return read(input, Role::client, fin, answers);
  }
};

TEST_F(H1DecoderTest, ReadsARequest) {
  EXPECT_EQ(
      read("GET /a/b?x=1 HTTP/1.1\r\nHost: example.com:8080\r\nAccept:*/*\r\nX-Empty:\r\nX-Tab:\t a b \t\r\n\r\n"),
      "GET example.com:8080 /a/b?x=1 none 1.1 keep [Host=example.com:8080] [Accept=*/*] [X-Empty=] [X-Tab=a b]\nend "
      "1\n");
}

TEST_F(H1DecoderTest, PipelinedRequestsComeOneByOne) {
  EXPECT_EQ(read("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                 "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                 "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                 "\r\nGET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
            "POST a /1 length 5 1.1 keep [Host=a] [Content-Length=5]\nbody hello\nend 1\n"
            "GET a /2 none 1.1 keep [Host=a]\nend 2\n"
            "POST a /3 chunked 1.1 keep [Host=a] [Transfer-Encoding=chunked]\nbody abc\nend 3\n"
            "GET a /4 none 1.1 [Host=a] [Connection=close]\nend 4\n");
}

TEST_F(H1DecoderTest, ReadingStopsAtTheEndOfAMessage) {
  Transcript transcript{Role::server, limits, buffers, heads};
  Chain in;
  test::feed(in, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\n", buffers);
  Message message;
  Memory memory{buffers, heads};
  H1Decoder decoder{Role::server, limits};
  EXPECT_TRUE(decoder.idle());
  EXPECT_EQ(decoder.next(in, message, 100, memory).kind, Event::Kind::head);
  EXPECT_EQ(decoder.next(in, message, 100, memory).kind, Event::Kind::end);
  EXPECT_EQ(test::content_of(in), "GET /next HTTP/1.1\r\n");
  EXPECT_TRUE(decoder.idle());
  EXPECT_EQ(decoder.next(in, message, 100, memory).kind, Event::Kind::more);
  EXPECT_TRUE(decoder.in_head());
  EXPECT_EQ(message.head.path, "/") << "an unfinished head leaves the old one alone";
}

// RFC 9112 7.1.
TEST_F(H1DecoderTest, ChunkedBodies) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string said = "POST a / chunked 1.1 keep [Host=a] [Transfer-Encoding=chunked]\n";
  EXPECT_EQ(read(head + "0\r\n\r\n"), said + "end 1\n");
  EXPECT_EQ(read(head + "5\r\nhello\r\n00006\r\n world\r\n0\r\n\r\n"), said + "body hello world\nend 1\n");
  EXPECT_EQ(read(head + "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"),
            said + "body 01234567890123456789\nend 1\n");
  EXPECT_EQ(read(head + "1;name=value\r\nx\r\n1 ; q=\"a b\"\r\ny\r\n0;last\r\n\r\n"), said + "body xy\nend 1\n");
  EXPECT_EQ(read(head + "1\r\nx\r\n0\r\nX-Sum: 7\r\nTrailer-Two:b\r\n\r\n"),
            said + "body x\ntrailers [X-Sum=7] [Trailer-Two=b]\nend 1\n");
  EXPECT_EQ(read(head + "0\r\nContent-Length: 5\r\nHost: evil\r\nX: y\r\n\r\n"), said + "trailers [X=y]\nend 1\n");
  for (const char* bad : {"\r\n", "x\r\n", "-1\r\n", "+1\r\nx\r\n", "0x1\r\nx\r\n", "1 \r\nx\r\n", " 1\r\nx\r\n",
                          "1\nx\r\n", "1\r\nxx\r\n", "1\r\nx\n\r\n", "1,1\r\nx\r\n", "1;a\nb\r\nx\r\n",
                          "1;\x01\r\nx\r\n", "1\t\r\n", "0000000000000001\r\nx\r\n", "ffffffffffffffff1\r\nx\r\n"}) {
    const std::string got = read(head + bad + "0\r\n\r\n");
    EXPECT_TRUE(got.ends_with("fault bad_chunk\n")) << bad << ": " << got;
  }
  EXPECT_EQ(read(head + "1;" + std::string(300, 'e') + "\r\nx\r\n"), said + "fault bad_chunk\n");
  EXPECT_EQ(read(head + "0\r\nX : y\r\n\r\n"), said + "fault malformed\n");
  EXPECT_EQ(read(head + "0\r\n X: y\r\n\r\n"), said + "fault malformed\n");
  EXPECT_EQ(read(head + "0\r\nX: " + std::string(9000, 'y') + "\r\n\r\n"), said + "fault trailers_too_large\n");
  std::string many;
  for (unsigned i = 0; i <= max_trailer_fields; ++i) many += "X: y\r\n";
  EXPECT_EQ(read(head + "0\r\n" + many + "\r\n"), said + "fault trailers_too_large\n");
}

struct Refusal {
  const char* name;
  const char* request;
  Fault fault;
};

// RFC 9112 sections 2.2, 3, 5, 6, and the request smuggling tricks that follow from reading them loosely.
// Whole: a table.
TEST_F(H1DecoderTest, RefusesWhatIsNotExact) {
  const Refusal refusals[] = {
      {"obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", Fault::malformed},
      {"obs-fold by tab", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", Fault::malformed},
      {"first field folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Fault::malformed},
      {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", Fault::malformed},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Fault::malformed},
      {"bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", Fault::malformed},
      {"bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Fault::malformed},
      {"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Fault::malformed},
      {"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Fault::malformed},
      {"tab before colon", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", Fault::malformed},
      {"no colon", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Fault::malformed},
      {"empty name", "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", Fault::malformed},
      {"name with a slash", "GET / HTTP/1.1\r\nHost: a\r\nX/Y: x\r\n\r\n", Fault::malformed},
      {"name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa4: x\r\n\r\n", Fault::malformed},
      {"control in a value",
       "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01"
       "b\r\n\r\n",
       Fault::malformed},
      {"DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n", Fault::malformed},
      {"vertical tab as space",
       "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0b"
       "chunked\r\n\r\n",
       Fault::malformed},
      {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"CR and no LF first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"method not a token", "G<T / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"two spaces behind the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"tab for space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Fault::malformed},
      {"HTTP/0.9", "GET /\r\nHost: a\r\n\r\n", Fault::malformed},
      {"lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n", Fault::malformed},
      {"version with two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", Fault::malformed},
      {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Fault::bad_version},
      {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", Fault::bad_version},
      {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Fault::bad_version},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"target beyond ASCII", "GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"target without slash", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"asterisk with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"foreign scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"userinfo", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"CONNECT without port", "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"CONNECT of a path", "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::bad_target},
      {"no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", Fault::bad_host},
      {"no field at all", "GET / HTTP/1.1\r\n\r\n", Fault::bad_host},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::bad_host},
      {"two Hosts over 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Fault::bad_host},
      {"list of Hosts", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::bad_host},
      {"Host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Fault::bad_host},
      {"Host with userinfo", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Fault::bad_host},
      {"Host with a bad port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", Fault::bad_host},
      {"Host with too high a port", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", Fault::bad_host},
      {"absolute-form against Host", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Fault::bad_host},
      {"absolute-form against Host's port", "GET http://a/ HTTP/1.1\r\nHost: a:81\r\n\r\n", Fault::bad_host},
      {"two lengths that differ", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
       Fault::bad_length},
      {"two equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
       Fault::bad_length},
      {"list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", Fault::bad_length},
      {"length with a sign", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", Fault::bad_length},
      {"negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx", Fault::bad_length},
      {"hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", Fault::bad_length},
      {"empty length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx", Fault::bad_length},
      {"length beyond 63 bits", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
       Fault::bad_length},
      {"length with a space", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\nx", Fault::bad_length},
      {"CONNECT with a body", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\nx", Fault::bad_length},
      {"CL.TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
       Fault::bad_coding},
      {"TE.CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n",
       Fault::bad_coding},
      {"TE.TE", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: x\r\n\r\n0\r\n\r\n",
       Fault::bad_coding},
      {"chunked twice", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", Fault::bad_coding},
      {"chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", Fault::bad_coding},
      {"unknown coding before", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       Fault::bad_coding},
      {"xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", Fault::bad_coding},
      {"quoted chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", Fault::bad_coding},
      {"identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", Fault::bad_coding},
      {"empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", Fault::bad_coding},
      {"chunked over 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       Fault::bad_coding},
  };
  for (const Refusal& refusal : refusals)
    EXPECT_EQ(read(refusal.request), std::string("fault ") + fault_text(refusal.fault) + "\n") << refusal.name;
  EXPECT_EQ(read(std::string_view("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 34)), "fault malformed\n");
  EXPECT_EQ(read("\x16\x03\x01\x02"), "fault malformed\n") << "a TLS hello on a plain port";
}

TEST_F(H1DecoderTest, TargetFormsAndHosts) {
  EXPECT_EQ(read("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS a * none 1.1 keep [Host=a]\nend 1\n");
  EXPECT_EQ(read("GET http://A.b:80?q HTTP/1.1\r\nHost: a.B\r\n\r\n"),
            "GET A.b:80 /?q none 1.1 keep [Host=a.B]\nend 1\n");
  EXPECT_EQ(read("GET https://[::1]:8443/x HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n"),
            "GET [::1]:8443 /x none 1.1 keep [Host=[::1]:8443]\nend 1\n");
  EXPECT_EQ(read("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
            "CONNECT a:443  none 1.1 keep [Host=a:443]\nend 1\n");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET  / none 1.1 keep [Host=]\nend 1\n");
  EXPECT_EQ(read("GET / HTTP/1.0\r\n\r\n"), "GET  / none 1.0\nend 1\n");
  EXPECT_EQ(read("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
            "GET  / none 1.0 keep [Connection=Keep-Alive]\nend 1\n");
}

TEST_F(H1DecoderTest, ExpectAndUpgradeAreNoted) {
  EXPECT_EQ(read("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx"),
            "PUT a / length 1 1.1 keep expect [Host=a] [Expect=100-Continue] [Content-Length=1]\nbody x\nend 1\n");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Upgrade\r\nUpgrade: websocket\r\n\r\n"),
            "GET a / none 1.1 keep upgrade [Host=a] [Connection=foo, Upgrade] [Upgrade=websocket]\nend 1\n");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"),
            "GET a / none 1.1 keep [Host=a] [Upgrade=websocket]\nend 1\n")
      << "not named by Connection";
}

TEST_F(H1DecoderTest, LimitsHold) {
  limits.request_line_bytes = 100;
  limits.head_bytes = 300;
  limits.fields = 5;
  const std::string tail = " HTTP/1.1\r\nHost: a\r\n";
  const auto line = [&](std::size_t size) { return "GET /" + std::string(size - 5 - 11, 'x') + tail + "\r\n"; };
  EXPECT_TRUE(read(line(100)).ends_with("end 1\n"));
  EXPECT_EQ(read(line(101)), "fault line_too_long\n");
  EXPECT_EQ(read(std::string(5000, 'x')), "fault line_too_long\n");
  const auto head = [&](std::size_t size) {
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_TRUE(read(head(300)).ends_with("end 1\n"));
  EXPECT_EQ(read(head(301)), "fault head_too_large\n");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nX: " + std::string(1000, 'x')), "fault head_too_large\n");
  EXPECT_TRUE(read("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n").ends_with("end 1\n"));
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n\r\n"),
            "fault head_too_large\n");
}

TEST_F(H1DecoderTest, DefaultLimitsAreThoseOfSemantics) {
  const auto line = [](std::size_t size) {
    return "GET /" + std::string(size - 16, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
  };
  EXPECT_TRUE(read(line(8192)).ends_with("end 1\n"));
  EXPECT_EQ(read(line(8193)), "fault line_too_long\n");
  std::string fields = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 99; ++i) fields += "X: y\r\n";
  EXPECT_TRUE(read(fields + "\r\n").ends_with("end 1\n"));
  EXPECT_EQ(read(fields + "X: y\r\n\r\n"), "fault head_too_large\n");
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  EXPECT_TRUE(read(start + std::string(60 * 1024 - start.size() - 4, 'x') + "\r\n\r\n").ends_with("end 1\n"));
  EXPECT_EQ(read(start + std::string(60 * 1024 - start.size() - 3, 'x') + "\r\n\r\n"), "fault head_too_large\n");
  EXPECT_EQ(status_of(Fault::line_too_long), 414);
  EXPECT_EQ(status_of(Fault::head_too_large), 431);
  EXPECT_EQ(status_of(Fault::bad_version), 505);
  EXPECT_EQ(status_of(Fault::no_memory), 503);
  EXPECT_EQ(status_of(Fault::bad_coding), 400);
}

// RFC 9112 6.3.
TEST_F(H1DecoderTest, ResponsesAreFramedByStatusMethodAndFields) {
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 404 Not Found\r\nTransfer-Encoding: "
                    "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
            "200 OK length 2 1.1 keep [Content-Length=2]\nbody hi\nend 1\n"
            "404 Not Found chunked 1.1 keep [Transfer-Encoding=chunked]\nbody x\nend 2\n");
  EXPECT_EQ(respond("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "200  length 0 1.1 keep [Content-Length=0]\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 200 \r\n\r\nuntil the end", true), "200  until_close 1.1\nbody until the end\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", true),
            "200 OK until_close 1.0 [Connection=keep-alive]\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", false, Method::head),
            "200 OK none 1000 1.1 keep [Content-Length=1000]\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 204 No Content\r\n\r\n"), "204 No Content none 1.1 keep\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
            "304 Not Modified none 9 1.1 keep [Content-Length=9]\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
                    "OK\r\nContent-Length: 0\r\n\r\n"),
            "100 Continue none 1.1 keep\n103 Early Hints none 1.1 keep [Link=x]\n200 OK length 0 1.1 keep "
            "[Content-Length=0]\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw\r\n\r\n", true),
            "101 Switching Protocols tunnel 1.1 upgrade [Upgrade=x] [Connection=upgrade]\nbody raw\r\n\r\n\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\n\r\nraw", true, Method::connect), "200 OK tunnel 1.1\nbody raw\nend 1\n");
  EXPECT_EQ(respond("HTTP/1.1 403 No\r\nContent-Length: 1\r\n\r\nx", false, Method::connect),
            "403 No length 1 1.1 keep [Content-Length=1]\nbody x\nend 1\n");
}

TEST_F(H1DecoderTest, RefusesBadResponses) {
  for (const char* bad :
       {"HTTP/1.1\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 200OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 -20 OK\r\n\r\n", "200 OK\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nX : y\r\n\r\n", "HTTP/1.1 200 OK\nX: y\n\n"})
    EXPECT_EQ(respond(bad), "fault malformed\n") << bad;
  EXPECT_EQ(respond("HTTP/3.0 200 OK\r\n\r\n"), "fault bad_version\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"), "fault bad_length\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "fault bad_coding\n");
  EXPECT_EQ(respond("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"), "fault bad_coding\n");
}

TEST_F(H1DecoderTest, AnEndInsideAMessageIsTruncation) {
  for (const char* part :
       {"GET / HT", "GET / HTTP/1.1\r\nHost: a\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"})
    EXPECT_TRUE(read(part, Role::server, true).ends_with("fault truncated\n")) << part;
  EXPECT_EQ(read("GET / HTTP/1.0\r\n\r\n", Role::server, true), "GET  / none 1.0\nend 1\n");
}

TEST_F(H1DecoderTest, BodyRoomHoldsTheBodyBack) {
  Chain in;
  test::feed(in, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n" + std::string(3000, 'b'), buffers, 500);
  H1Decoder decoder{Role::server, limits};
  Message message;
  Memory memory{buffers, heads};
  ASSERT_EQ(decoder.next(in, message, 0, memory).kind, Event::Kind::head);
  EXPECT_EQ(decoder.next(in, message, 0, memory).kind, Event::Kind::more);
  EXPECT_EQ(decoder.next(in, message, 700, memory).kind, Event::Kind::body);
  EXPECT_GE(message.body.size(), 700u);
  EXPECT_LT(message.body.size(), 700u + 500u);
  message.body.clear();
  EXPECT_EQ(decoder.next(in, message, 1 << 20, memory).kind, Event::Kind::body);
  EXPECT_EQ(decoder.next(in, message, 1 << 20, memory).kind, Event::Kind::end);
}

TEST_F(H1DecoderTest, AHeadInOneSegmentIsNotCopied) {
  Chain in;
  test::feed(in, "GET /path HTTP/1.1\r\nHost: a\r\n\r\n", buffers);
  const char* start = rte_pktmbuf_mtod(in.first(), const char*);
  H1Decoder decoder{Role::server, limits};
  Message message;
  Memory memory{buffers, heads};
  ASSERT_EQ(decoder.next(in, message, 0, memory).kind, Event::Kind::head);
  EXPECT_EQ(message.head.path.data(), start + 4);
  EXPECT_EQ(heads.small_free(), 8u);
  EXPECT_EQ(buffers.slices_free(), 4096u);
}

TEST_F(H1DecoderTest, NoHeadBufferIsAnOutcome) {
  HeadBuffers none{0, 0};
  Transcript transcript{Role::server, limits, buffers, none};
  transcript.read("GET / HTTP/1.1\r\n");
  transcript.read("Host: a\r\n\r\n");
  EXPECT_EQ(transcript.text(), "fault no_memory\n");
}

TEST_F(H1DecoderTest, NoDescriptorIsWaitedFor) {
  Buffers few{"h1_few", 8, 1, 0, -1};
  Chain in;
  test::feed(in, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", few);
  H1Decoder decoder{Role::server, limits};
  Message message;
  Memory memory{few, heads};
  {
    Packet taken = few.slice(in.first(), 0, 1);
    EXPECT_EQ(decoder.next(in, message, 0, memory).kind, Event::Kind::starved);
    EXPECT_EQ(in.segments(), 1u);
  }
  EXPECT_EQ(decoder.next(in, message, 0, memory).kind, Event::Kind::head);
  EXPECT_EQ(message.head.path, "/1");
}

TEST_F(H1DecoderTest, TunnelsPassEverything) {
  Transcript transcript{Role::server, limits, buffers, heads};
  transcript.read("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
  transcript.decoder().become_tunnel();
  transcript.read(std::string_view("\0\r\n\x16", 4));
  transcript.finish();
  EXPECT_EQ(transcript.text(),
            "CONNECT a:1  none 1.1 keep [Host=a:1]\nend 1\nbody " + std::string("\0\r\n\x16", 4) + "\nend 2\n");
}

}  // namespace
}  // namespace sluice::http
