#include "l7/http/h1_encoder.h"

#include <gtest/gtest.h>

#include "l7/http/h1_head.h"
#include "tests/support/http_transcript.h"

namespace sluice::http {
namespace {

using Op = FieldEdit::Op;

struct H1EncoderTest : testing::Test {
  Buffers buffers{"h1_encoder_test", 512, 512, 0, -1};
  HeadBuffers heads{4, 2};
  Limits limits;
  std::string text_;  // what the head's views point into
  void SetUp() override { ASSERT_TRUE(buffers.ok()); }
  void TearDown() override { EXPECT_EQ(buffers.data_free(), 512u) << "a buffer is lost"; }

  void parse(Head& head, std::string text, bool response = false, Method answers = Method::get) {
    text_ = std::move(text);
    const auto size = static_cast<std::uint32_t>(text_.size());
    head.reset();
    ASSERT_EQ(response ? parse_response(text_.data(), size, size, limits, answers, head)
                       : parse_request(text_.data(), size, size, limits, head),
              Fault::none);
  }
  std::string request(std::string text, const RequestEdits& edits = {}) {
    Head head;
    Chain out;
    parse(head, std::move(text));
    EXPECT_TRUE(encode_request(head, outgoing_framing(head, Version::http11), edits, out, buffers));
    return test::content_of(out);
  }
  std::string response(std::string text, const ResponseEdits& edits = {}, Method answers = Method::get) {
    Head head;
    Chain out;
    parse(head, std::move(text), true, answers);
    EXPECT_TRUE(encode_response(head, outgoing_framing(head, edits.client_version), edits, out, buffers));
    return test::content_of(out);
  }
};

// RFC 9110 7.6.1.
TEST_F(H1EncoderTest, HopByHopFieldsStayBehind) {
  EXPECT_EQ(request("GET /p?q HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Mine\r\nKeep-Alive: 5\r\nX-Mine: "
                    "1\r\nProxy-Connection: x\r\n"
                    "TE: gzip\r\nUpgrade: h2c\r\nAccept: */*\r\nExpect: 100-continue\r\n\r\n"),
            "GET /p?q HTTP/1.1\r\nhost: a\r\nAccept: */*\r\n\r\n");
  EXPECT_EQ(
      response(
          "HTTP/1.1 200 Fine\r\nConnection: X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nX: y\r\nContent-Length: 3\r\n\r\n"),
      "HTTP/1.1 200 Fine\r\nX: y\r\ncontent-length: 3\r\n\r\n");
}

TEST_F(H1EncoderTest, TheClientIsNamedAndTheRequestNumbered) {
  const RequestEdits edits{.client = "10.0.0.1", .proto = "https", .request_id = "id-1"};
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\n\r\n", edits),
            "GET / HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 10.0.0.1\r\nx-forwarded-proto: https\r\nx-request-id: "
            "id-1\r\n\r\n");
  EXPECT_EQ(
      request("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: gopher\r\n"
              "x-forwarded-for: 3.3.3.3\r\nX-Request-Id: theirs\r\n\r\n",
              edits),
      "GET / HTTP/1.1\r\nhost: a\r\nX-Request-Id: theirs\r\nx-forwarded-for: 1.1.1.1, 2.2.2.2, 3.3.3.3, 10.0.0.1\r\n"
      "x-forwarded-proto: https\r\n\r\n");
}

TEST_F(H1EncoderTest, FieldEdits) {
  const FieldEdit fields[] = {field_edit(Op::set, "x-a", "1"),
                              field_edit(Op::append, "Cookie", "c=2"),
                              field_edit(Op::remove, "user-agent"),
                              field_edit(Op::set, "host", "b"),
                              field_edit(Op::set, "content-length", "7"),
                              field_edit(Op::remove, "x-none")};
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nX-A: 0\r\nX-A: 00\r\nCookie: c=1\r\nUser-Agent: u\r\n\r\n",
                    {.path = "/new?x", .fields = fields}),
            "GET /new?x HTTP/1.1\r\nhost: b\r\nCookie: c=1\r\nx-a: 1\r\nCookie: c=2\r\n\r\n");
}

TEST_F(H1EncoderTest, FramingIsWrittenAnew) {
  EXPECT_EQ(request("PUT / HTTP/1.1\r\nContent-Length: 007\r\nHost: a\r\n\r\n"),
            "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n");
  EXPECT_EQ(request("PUT / HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\nHost: a\r\n\r\n"),
            "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(request("GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n"), "GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
  EXPECT_EQ(request("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1\r\nhost: \r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\n\r\n"), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
      << "read until close";
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                     {.client_version = Version::http10, .close = true}),
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", {.client_version = Version::http10}, Method::head),
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: keep-alive\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 304\r\nContent-Length: 9\r\n\r\n"),
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(response("HTTP/1.1 101 Switching Protocols\r\nUpgrade: ws\r\nConnection: Upgrade\r\n\r\n",
                     {.keep_upgrade = true}),
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: ws\r\n\r\n");
}

TEST_F(H1EncoderTest, HeadsLargerThanABuffer) {
  const std::string value(5000, 'v');
  EXPECT_EQ(request("GET / HTTP/1.1\r\nHost: a\r\nX: " + value + "\r\n\r\n"),
            "GET / HTTP/1.1\r\nhost: a\r\nX: " + value + "\r\n\r\n");
}

TEST_F(H1EncoderTest, ChunkedBodiesReadBackAsTheyWere) {
  Head head;
  Chain out;
  parse(head, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  ASSERT_TRUE(encode_request(head, Framing::chunked, {}, out, buffers));
  std::string sent;
  for (std::size_t size : {1u, 15u, 16u, 300u, 4096u, 0u}) {
    Chain body;
    const std::string piece(size, static_cast<char>('a' + size % 26));
    test::feed(body, piece, buffers);
    ASSERT_TRUE(encode_body(Framing::chunked, body, out, buffers));
    EXPECT_TRUE(body.empty());
    sent += piece;
  }
  ASSERT_TRUE(encode_end(Framing::chunked, nullptr, out, buffers));
  test::Transcript transcript{Role::server, limits, buffers, heads};
  transcript.read(test::content_of(out));
  EXPECT_EQ(transcript.text(),
            "PUT a / chunked 1.1 keep [host=a] [transfer-encoding=chunked]\nbody " + sent + "\nend 1\n");
}

TEST_F(H1EncoderTest, TrailersAndPlainBodies) {
  const std::string text = "X-Sum: 7\r\n\r\n";
  Trailers trailers;
  ASSERT_EQ(parse_trailers(text.data(), 12, 12, limits, trailers), Fault::none);
  Chain out, body;
  ASSERT_TRUE(encode_end(Framing::chunked, &trailers, out, buffers));
  EXPECT_EQ(test::content_of(out), "0\r\nX-Sum: 7\r\n\r\n");
  out.clear();
  test::feed(body, "plain", buffers);
  ASSERT_TRUE(encode_body(Framing::length, body, out, buffers));
  ASSERT_TRUE(encode_end(Framing::length, &trailers, out, buffers));
  EXPECT_EQ(test::content_of(out), "plain");
}

TEST_F(H1EncoderTest, LocalReplies) {
  Chain out;
  const NameValue fields[] = {{"location", "/x"}};
  ASSERT_TRUE(encode_local_reply({.status = 404, .close = true}, out, buffers));
  EXPECT_EQ(test::content_of(out),
            "HTTP/1.1 404 Not Found\r\ncontent-type: text/plain\r\ncontent-length: 10\r\nconnection: close\r\n\r\nNot "
            "Found\n");
  out.clear();
  ASSERT_TRUE(encode_local_reply({.status = 302, .fields = fields}, out, buffers));
  EXPECT_EQ(test::content_of(out), "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n");
  out.clear();
  ASSERT_TRUE(encode_local_reply({.body = "hi", .head_only = true}, out, buffers));
  EXPECT_EQ(test::content_of(out), "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n");
  out.clear();
  ASSERT_TRUE(encode_local_reply({.status = 204, .body = "no"}, out, buffers));
  EXPECT_EQ(test::content_of(out), "HTTP/1.1 204 No Content\r\n\r\n");
}

TEST_F(H1EncoderTest, WithoutBuffersNothingHappens) {
  Buffers few{"h1_encoder_few", 2, 2, 0, -1};
  Head head;
  parse(head, "PUT / HTTP/1.1\r\nHost: a\r\nX: " + std::string(5000, 'v') + "\r\n\r\n");
  Chain out;
  EXPECT_FALSE(encode_request(head, Framing::none, {}, out, few));
  EXPECT_TRUE(out.empty());
  EXPECT_EQ(few.data_free(), 2u);
}

// RFC 9562 5.4.
TEST(RequestIds, AreVersionFourAndDiffer) {
  Rng rng{3};
  const RequestId a = make_request_id(rng), b = make_request_id(rng);
  EXPECT_NE(a, b);
  for (const RequestId& id : {a, b}) {
    EXPECT_EQ(id[14], '4');
    EXPECT_NE(std::string_view("89ab").find(id[19]), std::string_view::npos);
    for (std::size_t i = 0; i < id.size(); ++i) EXPECT_EQ(id[i] == '-', i == 8 || i == 13 || i == 18 || i == 23) << i;
  }
}

}  // namespace
}  // namespace sluice::http
